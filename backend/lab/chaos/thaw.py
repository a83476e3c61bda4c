"""Reads process ids from standard input until it ends, then lets every one of them go on (SIGCONT).

Run as a program by itself, with the standard library alone: it must outlive whoever froze them.
"""

import contextlib
import os
import signal
import sys


def main() -> None:
    """Wait for the end of standard input, deaf to the signals that end others."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    for line in reversed(sys.stdin.readlines()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(line), signal.SIGCONT)


if __name__ == "__main__":
    main()
