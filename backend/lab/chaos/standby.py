"""Breaks processes and servers by commands, and mends them once its standard input ends.

One command a line: ``stop PID`` (SIGSTOP), ``shrink PID`` (no write to a file succeeds, RLIMIT_FSIZE), ``fill PORT
PASSWORD`` (the Redis on this port of the loopback has no free memory), ``mend`` (undo all of it, the last first).
The answer is a line: nothing, or what went wrong. What cannot be mended at the end is on stderr, with exit code 1.

Run as a program by itself, with the standard library alone: it must outlive whoever started it, and it may have to
run as the account of what it breaks.
"""

import contextlib
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

_WITHIN_S = 10.0
"""Seconds for an answer of Redis: one that is busy answers late, and must not be left without memory."""
_undo: list[Callable[[], None]] = []
_prlimit: Callable[..., tuple[int, int]] | None = getattr(resource, "prlimit", None)
"""Linux alone has it."""


def main() -> None:
    """Take commands until the end of standard input, deaf to the signals that end others."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    # Whoever started us may be gone: nobody reads the answers then; what is broken must be mended all the same.
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    try:
        for line in sys.stdin:
            sys.stdout.write(f"{_do(*line.split())}\n")
            sys.stdout.flush()
    finally:
        try:
            _mend()
        except OSError as error:
            sys.exit(str(error))


def _do(command: str, target: str = "", *more: str) -> str:
    try:
        if command == "mend":
            _mend()
        else:
            _COMMANDS[command](int(target), *more)
    except ProcessLookupError:
        return ""  # it has ended: there is nothing to break
    except OSError as error:
        return str(error) if command == "mend" else f"{command} {target}: {error}"
    return ""


def _mend() -> None:
    # What cannot be mended keeps nothing else broken.
    wrong = []
    while _undo:
        try:
            _undo.pop()()
        except (ProcessLookupError, FileNotFoundError, ConnectionRefusedError):
            pass  # what has ended needs no mending
        except OSError as error:
            wrong.append(f"not mended: {error}")
    if wrong:
        raise OSError("; ".join(wrong))


def _stop(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)
    _undo.append(lambda: os.kill(pid, signal.SIGCONT))


def _shrink(pid: int) -> None:
    if _prlimit is None:
        raise OSError("only Linux lets one process limit what another writes")
    soft, hard = _prlimit(pid, resource.RLIMIT_FSIZE)
    if soft == 0:
        return
    _prlimit(pid, resource.RLIMIT_FSIZE, (0, hard))
    _undo.append(lambda: _grow(pid, (soft, hard)))


def _grow(pid: int, limits: tuple[int, int]) -> None:
    assert _prlimit is not None
    _prlimit(pid, resource.RLIMIT_FSIZE, limits)
    # A child that it has started since, unseen, has its limit, too.
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split():
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):
            if _prlimit(int(child), resource.RLIMIT_FSIZE)[0] == 0:
                _grow(int(child), limits)


def _fill(port: int, password: str = "") -> None:
    _config(port, password, 1)
    _undo.append(lambda: _config(port, password, 0))


def _config(port: int, password: str, most_bytes: int) -> None:
    with socket.create_connection(("127.0.0.1", port), _WITHIN_S) as server:
        for line in (*([f"AUTH {password}"] if password else []), f"CONFIG SET maxmemory {most_bytes}"):
            server.sendall(f"{line}\r\n".encode())
            if (answer := server.recv(256)) != b"+OK\r\n":
                raise OSError(answer.decode(errors="replace").strip())


_COMMANDS: dict[str, Callable[..., None]] = {"stop": _stop, "shrink": _shrink, "fill": _fill}


if __name__ == "__main__":
    main()
