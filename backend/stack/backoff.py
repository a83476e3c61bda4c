"""How long to wait before a part is started again."""

import time

FIRST_S = 0.05
LONGEST_S = 5.0
STEADY_S = 10.0
"""Seconds for which a part must have been up to be taken for healthy again."""


class Backoff:
    """Doubles from 50 ms to 5 s; forgets where the part has been up for a while in between."""

    def __init__(self) -> None:
        self._next_s = FIRST_S
        self._up_since: float | None = None

    def is_up(self) -> None:
        """Note that the part is up now."""
        if self._up_since is None:
            self._up_since = time.monotonic()

    def next_s(self) -> float:
        """Return the seconds to wait after this failure."""
        if self._up_since is not None and time.monotonic() - self._up_since >= STEADY_S:
            self._next_s = FIRST_S
        self._up_since = None
        wait_s, self._next_s = self._next_s, min(self._next_s * 2, LONGEST_S)
        return wait_s
