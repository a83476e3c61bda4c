"""Why a program has ended: the one sentence of its log that names the cause, for whoever has to mend it.

The last line of a log seldom does: a Java trace ends with ``... 17 more``, PostgreSQL says last that it is down.
Each family of programs is read by its own rules; of what none of them knows the last line is taken.
"""

import json
import re
from collections.abc import Iterator, Sequence

LONGEST = 300
"""Characters to which a reason is cut."""

_LEVEL = re.compile(
    r"[\d\[].{0,120}?\b(?P<level>TRACE|DEBUG|INFO|WARN|WARNING|ERROR|FATAL|CRITICAL)\b:?\s+(?P<text>.*)"
)
"""The head of a record of Kafka, Flink or one of our services: a time, then a level."""
_SEVERE = ("ERROR", "FATAL", "CRITICAL")
_JAVA = re.compile(r"(?:Exception in thread .*? )?(?P<name>(?:[\w$]+\.)+[\w$]+)(?:: (?P<text>.*))?")
_CAUSED_BY = "Caused by: "
_FRAME = re.compile(r"\s+at |\s*\.\.\. \d+ (?:more|common frames)|\s*- java\.|\s*Suppressed: ")
_PROGRAM = re.compile(r"\w+: (?:error|fatal): (?P<text>.*)")
"""How the programs of PostgreSQL (initdb) and others say it."""
_POSTGRES = re.compile(r"\d{4}-\d\d-\d\d [\d:.]+ \w+ \[\d+\] (?P<level>[A-Z]+):  (?P<text>.*)")
_CLIENTS_OWN = re.compile(
    r"the database system is |terminating |password authentication failed|no pg_hba\.conf entry|sorry, too many"
    r'|canceling |connection to client lost|(?:database|role) ".*" does not exist|unsupported frontend protocol'
)
"""FATAL of PostgreSQL that ends one client's session and not the server."""
_VALKEY = re.compile(r"\d+:[A-Z] \d+ \w+ \d{4} [\d:.]+ (?P<level>[-*#.]) (?P<text>.*)")
_VALKEY_PASSING = re.compile(r"(?i)warning|user requested|received sig|.* is now ready to exit|wait for")
_NO_CHECK_AOF = "mend it by `valkey-check-aof --fix`, or move COFFEE_HOME/redis aside: see docs/guarantees.md"
_VALKEY_CONFIG = "*** FATAL CONFIG FILE ERROR"
_VM_FAILED = "Error occurred during initialization of VM"
_NO_VM = "Error: Could not create the Java Virtual Machine."
_NO_MEMORY = "# There is insufficient memory for the Java Runtime Environment to continue."
_VM_CRASHED = "# A fatal error has been detected by the Java Runtime Environment:"
_TRACEBACK = "Traceback (most recent call last):"
_GROUP = re.compile(r"^(?:\s*[|+](?:-[-+ \d]*)?)+ ?")
"""What stands before a line of an exception group."""


def reason_in(text: str) -> str:
    """Return why the program that has written this has ended; empty where it has written nothing."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    for find in (_of_virtual_machine, _of_postgres, _of_valkey, _of_python, _of_java, _of_program):
        if found := find(lines):
            return found[:LONGEST]
    return _plain(lines[-1])[:LONGEST] if lines else ""


def _after(lines: Sequence[str], head: str) -> str:
    """Return the line that follows the last one which begins with ``head``, or nothing."""
    places = [place for place, line in enumerate(lines[:-1]) if line.startswith(head)]
    return lines[places[-1] + 1].strip() if places else ""


def _of_virtual_machine(lines: Sequence[str]) -> str:
    """Return what kept a Java virtual machine from starting, or ended it from within."""
    if found := _after(lines, _VM_FAILED):
        return found
    if _NO_VM in lines:
        place = lines.index(_NO_VM)
        return lines[place - 1] if place else _NO_VM
    if _NO_MEMORY in lines:
        return f"there is not enough memory for Java: {_after(lines, _NO_MEMORY).removeprefix('# ')}"
    if _VM_CRASHED in lines:
        after = lines[lines.index(_VM_CRASHED) + 1 :]
        return f"Java has crashed: {next((line for line in after if line != '#'), '').removeprefix('#').strip()}"
    return ""


def _of_postgres(lines: Sequence[str]) -> str:
    """Return PostgreSQL's last PANIC or FATAL that was not about one client, with its detail and its hint."""
    records = [(match["level"], match["text"]) for line in lines if (match := _POSTGRES.match(line))]
    for place in range(len(records) - 1, -1, -1):
        level, text = records[place]
        if level not in ("PANIC", "FATAL") or _CLIENTS_OWN.match(text):
            continue
        more = [text for level, text in records[place + 1 : place + 3] if level in ("DETAIL", "HINT")]
        return "; ".join((text, *more))
    return ""


def _of_valkey(lines: Sequence[str]) -> str:
    """Return Valkey's last warning of a level that ends it, or what it has against its configuration."""
    if any(line.startswith(_VALKEY_CONFIG) for line in lines):
        return ": ".join(line.removeprefix(">>> ") for line in lines[-2:])
    records = [(match["level"], match["text"]) for line in lines if (match := _VALKEY.match(line))]
    serious = [text for level, text in records if level == "#" and not _VALKEY_PASSING.match(text)]
    if not serious:
        return ""
    # The program that Valkey names is not among ours.
    return (
        f"{serious[-1].partition(':')[0]}: {_NO_CHECK_AOF}" if "valkey-check-aof" in serious[-1] else serious[-1]
    )


def _of_python(lines: Sequence[str]) -> str:
    """Return the exception of the last traceback; of a group, the last of those within it."""
    found = ""
    within = False
    for line in (_GROUP.sub("", line) for line in lines):
        if line.strip() == _TRACEBACK or line.startswith("Exception Group Traceback"):
            within = True
        elif within and not line.startswith(" "):
            within = False
            found = line
    name, _, message = found.partition(": ")
    short = name.rpartition(".")[2]
    return f"{short}: {message}" if message else short


def _of_java(lines: Sequence[str]) -> str:
    """Return the root cause of the last trace of an error, or else the last error without one."""
    best = ""
    for level, text, trace in _records(lines):
        if level in _SEVERE:
            best = _cause(trace) or text
        elif not level and (cause := _cause(trace)):
            best = cause
    return best


def _records(lines: Sequence[str]) -> Iterator[tuple[str, str, list[str]]]:
    """Yield level, text and trace of each record; the level is empty where a program wrote without one."""
    level, text, trace = "", "", list[str]()
    for line in lines:
        head = _LEVEL.match(line)
        if head is None:
            trace.append(line)
            continue
        yield level, text, trace
        level, text, trace = head["level"], _plain(line), []
    yield level, text, trace


def _cause(trace: Sequence[str]) -> str:
    """Return the root cause of a Java trace, or the outermost that has the root's message in its own."""
    if not any(_FRAME.match(line) for line in trace):
        return ""
    heads = [line.removeprefix(_CAUSED_BY) for line in trace if not _FRAME.match(line)]
    chain = [match for head in heads if (match := _JAVA.fullmatch(head))]
    if not chain:
        return ""
    root = chain[-1]["text"] or ""
    telling = next(match for match in chain if match is chain[-1] or (root and root in (match["text"] or "")))
    name = telling["name"].rpartition(".")[2].rpartition("$")[2]
    return f"{name}: {telling['text']}" if telling["text"] else name


def _of_program(lines: Sequence[str]) -> str:
    """Return the last line that a program itself calls an error."""
    errors = [match["text"] for line in lines if (match := _PROGRAM.match(line))]
    return errors[-1] if errors else ""


def _plain(line: str) -> str:
    """Return the text of a line without its time and level, also where it is JSON."""
    line = line.strip()
    if line.startswith("{"):
        try:
            record = json.loads(line)
        except ValueError:
            return line
        return str(record.get("event", line)) if isinstance(record, dict) else line
    head = _POSTGRES.match(line) or _VALKEY.match(line) or _LEVEL.match(line)
    return head["text"].removeprefix("- ") if head else line
