"""What ``coffee up --headless`` prints: a line for each change, progress in place where there is a terminal."""

import sys
import time

from backend.stack.publisher import Announce
from backend.stack.saying import say_line, say_to

_WIDTH = 22
_PASSING_EVERY_S = 2.0


class Terminal:
    """Prints lines with the seconds since the start and the name of the part."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._in_place = sys.stderr.isatty()
        self._passed: dict[str, float] = {}

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._began

    def of(self, name: str) -> Announce:
        """Return what prints the lines of one part."""

        def announce(line: str, passing: bool) -> None:
            if passing:
                self._pass(name, line)
            else:
                self.line(name, line)

        return announce

    def line(self, name: str, text: str) -> None:
        """Print a line that stays."""
        self._clear()
        say_line(self._format(name, text))

    def _pass(self, name: str, text: str) -> None:
        """Print progress: over the last one on a terminal, else a line every two seconds for each part."""
        line = self._format(name, text)
        if self._in_place:
            say_to(sys.stderr, f"\r\x1b[K{line}")
        elif self.elapsed_s - self._passed.get(name, -_PASSING_EVERY_S) >= _PASSING_EVERY_S:
            self._passed[name] = self.elapsed_s
            say_to(sys.stderr, f"{line}\n")

    def _clear(self) -> None:
        if self._in_place:
            say_to(sys.stderr, "\r\x1b[K")

    def _format(self, name: str, text: str) -> str:
        return f"{self.elapsed_s:6.1f} s  {name:<{_WIDTH}}{text}"
