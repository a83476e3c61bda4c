"""The terminal as it was before the dashboard: put back, however that ended."""

import sys
import termios

from backend.stack.saying import say_to

_REPORTS = (1000, 1002, 1003, 1004, 1006, 1015, 2004)
_RESET = "".join(f"\x1b[?{mode}l" for mode in _REPORTS) + "\x1b[<u\x1b[?1049l\x1b[?25h\x1b[0m"
"""Mouse, paste and focus reports off, keyboard protocol, main screen and cursor back."""


class Screen:
    """The settings of the terminal at the time it is made."""

    def __init__(self) -> None:
        self._before = termios.tcgetattr(sys.stdin.fileno())

    def restore(self, *, reset: bool) -> None:
        """Put the terminal back; ``reset`` also leaves the modes that a killed program could not leave."""
        if reset:
            say_to(sys.stdout, _RESET)
        try:
            termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, self._before)
        except (termios.error, OSError):  # the terminal itself has gone
            return
