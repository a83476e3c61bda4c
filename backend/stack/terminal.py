"""What ``coffee up`` prints, and the terminal as it was before: lines for a daemon, progress, modes to restore."""

import os
import select
import sys
import termios
import time
from typing import TextIO

from backend.stack.part import Announce

_NAME_WIDTH = 22
_PROGRESS_EVERY_S = 2.0
_REPORTS = (1000, 1002, 1003, 1004, 1006, 1015, 2004)
_RESET = "".join(f"\x1b[?{mode}l" for mode in _REPORTS) + "\x1b[<u\x1b[?1049l\x1b[?25h\x1b[0m"
"""Mouse, paste and focus reports off, keyboard protocol, main screen and cursor back."""


def print_to(stream: TextIO, text: str) -> None:
    """Print at once; where nobody reads the stream any more, this and all that follows goes nowhere.

    A terminal that has gone must not end the stack in disorder.
    """
    try:
        encoding = stream.encoding or "utf-8"
        stream.write(text.encode(encoding, "replace").decode(encoding))
        stream.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def print_line(text: str) -> None:
    """Print a line to stdout, as ``print_to`` does."""
    print_to(sys.stdout, f"{text}\n")


def _is_stopped(stream: TextIO) -> bool:
    """Tell whether writing would wait: for Ctrl-Q after a Ctrl-S, or for who reads a pipe."""
    try:
        return not select.select([], [stream], [], 0)[1]
    except (OSError, ValueError):  # no file of the system's
        return False


class Terminal:
    """Prints lines with the seconds since the start and the name of the part; progress stays in its place.

    Never waits for whoever reads them: what is printed here is told by those who keep servers running.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        """``stream`` takes the lines that stay; standard output where there is none."""
        self._stream = stream or sys.stdout
        self._began = time.monotonic()
        self._in_place = sys.stderr.isatty()
        self._progress_at_s: dict[str, float] = {}
        self._left_out = 0
        """Lines that could not be printed since the last one."""

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._began

    def announcer(self, name: str) -> Announce:
        """Return what prints the lines of one part."""

        def announce(line: str, passing: bool) -> None:
            if passing:
                self._print_progress(name, line)
            else:
                self.line(name, line)

        return announce

    def line(self, name: str, text: str) -> None:
        """Print a line that stays, unless nobody takes any: then say later how many there were."""
        if _is_stopped(self._stream):
            self._left_out += 1
            return
        self._clear()
        left_out, self._left_out = self._left_out, 0
        before = f"{left_out:,} lines are left out here: nobody took them\n" if left_out else ""
        print_to(self._stream, f"{before}{self._format(name, text)}\n")

    def _print_progress(self, name: str, text: str) -> None:
        """Print progress: over the last one on a terminal, else a line every two seconds for each part."""
        line = self._format(name, text)
        if _is_stopped(sys.stderr):
            return
        if self._in_place:
            print_to(sys.stderr, f"\r\x1b[K{line}")
        elif self.elapsed_s - self._progress_at_s.get(name, -_PROGRESS_EVERY_S) >= _PROGRESS_EVERY_S:
            self._progress_at_s[name] = self.elapsed_s
            print_to(sys.stderr, f"{line}\n")

    def _clear(self) -> None:
        if self._in_place and not _is_stopped(sys.stderr):
            print_to(sys.stderr, "\r\x1b[K")

    def _format(self, name: str, text: str) -> str:
        return f"{self.elapsed_s:6.1f} s  {name:<{_NAME_WIDTH}}{text}"


class TerminalModes:
    """The modes of the terminal when this is made, to be restored after the dashboard, however that ended."""

    def __init__(self) -> None:
        self._before = termios.tcgetattr(sys.stdin.fileno())

    def restore(self, *, reset: bool) -> None:
        """Restore them; ``reset`` also leaves the modes that a killed program could not leave."""
        if reset:
            print_to(sys.stdout, _RESET)
        try:
            termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, self._before)
        except (termios.error, OSError):  # the terminal itself has gone
            return
