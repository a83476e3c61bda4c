"""Why a job fails, out of Flink's stack traces: the cause in a sentence, and whether a checkpoint is to blame."""

import json
import re
from dataclasses import dataclass

from coffee_core.errors import CoffeeError

_LONGEST = 240
"""Characters of a sentence."""
_TERSE = 40
"""A cause of fewer characters (``EOFException``, ``ConnectException: Connection refused``) says too little."""
_CAUSED_BY = "Caused by: "
_PACKAGES = re.compile(r"^(?:[a-z_][\w$]*\.)+(?=[A-Z])")
"""The packages of an exception's class."""
_WRAPPER = re.compile(
    r"^(?:\w*(?:SerializedThrowable|CompletionException|ExecutionException)(?:: |$)"
    r"|RuntimeException: (?=[\w.$]+(?:Exception|Error)\b))"
)
"""Classes that carry another's words."""
_LONG_PATH = re.compile(r"(?:/[^/\s]+){3}(/[^/\s]+){3,}(?=/[^/\s]+)")
"""The middle of a path in a folder of Flink's own, deeper than anybody reads."""
_LOGIN = re.compile(r"(?<=://)[^/\s@]+@")
"""A user and a password in a URL."""
_JVM_LINE = re.compile(r"^(?:Error|Unrecognized|Invalid|Could not|Initial|There is|Too|Conflicting|OpenJDK)\b")
_PICKED_UP = re.compile(r"(?m)^(?:NOTE: )?Picked up .*\n?")
"""What a JVM says of variables that it reads."""

_RESTORING = (
    "BackendRestorerProcedure",  # a task's state
    "CheckpointCoordinator.restore",  # the JobManager's
    "loadAndValidateCheckpoint",
    "resolveCheckpoint",
    "resetToCheckpoint",
    "SimpleVersionedListState",  # the offsets of the source
    "StateMigrationException",
)
"""Words of a stack trace that is of restoring a checkpoint."""
_ENVIRONMENT = re.compile(
    r"No space left on device|Disk quota exceeded|Permission denied|Read-only file system|Too many open files"
    r"|Stale file handle|Host is down|OutOfMemoryError|NoRouteToHostException|UnknownHostException|SocketException"
    r"|ConnectException|TimeoutException|SSLException|SSLHandshakeException|AccessDenied|InterruptedException"
    r"|UnsatisfiedLinkError|NoClassDefFoundError|CancellationException|CancelTaskException"
    r"|ClosedByInterruptException|UnsupportedFileSystemSchemeException"
    r"|Broken pipe|Connection reset|Transport endpoint is not connected|Service Unavailable|Internal Server Error"
    r"|Bad Gateway|Gateway Time-?out|SlowDown|Slow Down|Forbidden|StandbyException|SafeModeException"
    r"|Unable to execute HTTP request|Unable to load (?:AWS )?credentials|Status Code: (?:40[1379]|429|5\d\d)"
)
"""Causes that lie around a checkpoint, not in it: it can be read once they are mended."""
_CORRUPT = re.compile(r"RocksDBException: .*(?:[Cc]orrupt|checksum mismatch|[Bb]ad table magic|size mismatch)")
"""What RocksDB says of a damaged file when it first reads there, which may be long after it was restored."""


_PATIENCE = "Flink starts the job again until that is mended"
_CURES = (
    ("com.github.luben.zstd", "put com.github.luben:zstd-jni into Flink's lib: a record is compressed with zstd"),
    ("No space left on device", "make room on the disk; the job goes on by itself then"),
)
"""Words of a stack trace → what helps."""


class JobFailedError(CoffeeError):
    """The job could not even begin."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One failure of a job."""

    stack_trace: str
    """As Java prints it, with all causes."""

    @property
    def sentence(self) -> str:
        """The cause in one line."""
        return root_cause(self.stack_trace)

    @property
    def cure(self) -> str:
        """What helps, in one sentence."""
        return next((cure for words, cure in _CURES if words in self.stack_trace), _PATIENCE)

    @property
    def of_restoring(self) -> bool:
        """Whether it came about while a checkpoint was restored."""
        return any(word in self.stack_trace for word in _RESTORING)

    @property
    def of_damaged_state(self) -> bool:
        """Whether its checkpoint cannot be used, now or later; not where a disk is full or a storage is away."""
        return self.of_corrupt_state or (self.of_restoring and not _ENVIRONMENT.search(_causes(self.stack_trace)))

    @property
    def of_corrupt_state(self) -> bool:
        """Whether a file of RocksDB is damaged: every checkpoint that shares it is."""
        return bool(_CORRUPT.search(_causes(self.stack_trace)))


def root_cause(stack_trace: str) -> str:
    """Return the innermost cause of a Java stack trace: class without packages, and its message in one line."""
    headers = _headers(stack_trace)
    if not headers:
        return "no reason is given"
    cause = headers[-1]
    if len(cause) < _TERSE and len(headers) > 1:
        cause = f"{headers[-2]} ({cause})" if cause not in headers[-2] else headers[-2]
    return shorten(cause)


def shorten(text: str) -> str:
    """Return a text in one line of bounded length, without the logins of URLs."""
    line = _LOGIN.sub("", " ".join(text.split()))
    if len(line) > _LONGEST:
        line = _LONG_PATH.sub("…", line)
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]} …"


def _headers(stack_trace: str) -> list[str]:
    """Return the first line of the exception and of each of its causes, outermost first."""
    lines = [line for line in stack_trace.splitlines() if line.strip()]
    # Indented ones belong to suppressed exceptions.
    first = [
        line.removeprefix(_CAUSED_BY) for at, line in enumerate(lines) if not at or line.startswith(_CAUSED_BY)
    ]
    named = [_unwrapped(line.strip()) for line in first]
    return [name for name in dict.fromkeys(named) if name]


def _unwrapped(header: str) -> str:
    """Return the class without packages and its message, without classes around it that add nothing."""
    while True:
        short = _WRAPPER.sub("", _PACKAGES.sub("", header))
        if short == header:
            return short
        header = short


def _causes(stack_trace: str) -> str:
    """Return the exception and its causes without their frames: a class may also be the name of a frame."""
    return "\n".join(line for line in stack_trace.splitlines() if not line.lstrip().startswith("at "))


def refusal(body: str) -> str:
    """Return the cause in an error body of Flink's REST API."""
    try:
        errors = json.loads(body)["errors"]
        text = str(errors[-1])
    except (ValueError, LookupError, TypeError):
        text = body
    # The server's own exception stands in angle brackets.
    _, marked, trace = text.partition("<Exception on server side:\n")
    return root_cause(trace.partition("\nEnd of exception on server side>")[0] if marked else text)


def client_failure(output: str) -> str:
    """Return the cause in what a client of Flink, a Python program with a JVM, has written before it failed."""
    text = _PICKED_UP.sub("", output).strip()
    if _CAUSED_BY in text or "\n\tat " in text:  # from Python's `py4j.protocol.Py4JJavaError` on
        start = re.search(r"(?m)^:? ?(?=[\w.$]+(?:Exception|Error)\b)(?!py4j)", text)
        return root_cause(text[start.end() :] if start else text)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    jvm = [line for line in lines if _JVM_LINE.match(line)]
    if jvm:
        return shorten(": ".join(dict.fromkeys(jvm)))
    return shorten(lines[-1]) if lines else "it ended without a word"
