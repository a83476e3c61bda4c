"""Undoes what was done to processes and servers, a line of text each.

``go PID``: let it go on (SIGCONT). ``grow PID BYTES``: its files may be that long again, -1 being any length.
``memory PORT BYTES``: the Redis on this port of the loopback may use that much memory again, 0 being any amount.

Run as a program by itself, with the standard library alone: it must outlive whoever broke them. It reads lines
until its standard input ends, then undoes every one of them, the last first.
"""

import contextlib
import os
import resource
import signal
import socket
import sys

_WITHIN_S = 2.0


def undo(line: str) -> None:
    """Undo one deed; who has ended meanwhile needs it no more."""
    deed, target, *amount = line.split()
    with contextlib.suppress(ProcessLookupError, ConnectionRefusedError):
        if deed == "go":
            os.kill(int(target), signal.SIGCONT)
        elif deed == "grow":
            _, hard = resource.prlimit(int(target), resource.RLIMIT_FSIZE)
            resource.prlimit(int(target), resource.RLIMIT_FSIZE, (int(amount[0]), hard))
        elif deed == "memory":
            with socket.create_connection(("127.0.0.1", int(target)), _WITHIN_S) as server:
                server.sendall(f"CONFIG SET maxmemory {amount[0]}\r\n".encode())
                if (answer := server.recv(256)) != b"+OK\r\n":
                    raise RuntimeError(f"Redis does not take its limit back: {answer!r}")


def main() -> None:
    """Wait for the end of standard input, deaf to the signals that end others."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    for line in reversed(sys.stdin.readlines()):
        undo(line)


if __name__ == "__main__":
    main()
