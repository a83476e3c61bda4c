"""Pauses between attempts that keep failing."""

import random


class Backoff:
    """Doubles from ``first_s`` to ``longest_s`` seconds, and begins anew after ``reset``.

    With ``jitter`` (0 to 1) that share of a pause is random, so that clients that fail together do not return
    together.
    """

    def __init__(self, first_s: float, longest_s: float, *, jitter: float = 0.0) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._jitter = jitter
        self._pause_s = first_s

    def next_s(self) -> float:
        """Return how many seconds to wait after this failure."""
        pause_s, self._pause_s = self._pause_s, min(2 * self._pause_s, self._longest_s)
        return random.uniform(pause_s * (1 - self._jitter), pause_s) if self._jitter else pause_s

    def reset(self) -> None:
        """Note a success."""
        self._pause_s = self._first_s
