"""Step functions of time: what a value was, and how fast it grows."""

from collections import deque
from typing import Generic, TypeVar

_Value = TypeVar("_Value")


class Changes(Generic[_Value]):
    """A step function of time: its value from each change on, as far back as a window needs."""

    def __init__(self, span_s: float) -> None:
        self._span_s = span_s
        self._steps: deque[tuple[float, _Value]] = deque()

    def add(self, at_s: float, value: _Value) -> None:
        """Note the value at a moment (monotonic seconds, never decreasing)."""
        if not self._steps or self._steps[-1][1] != value:
            self._steps.append((at_s, value))
        # Two steps stay in any case: the last change is asked for, however long ago it was.
        while len(self._steps) > 2 and self._steps[1][0] <= at_s - self._span_s:
            self._steps.popleft()

    def at(self, moment_s: float) -> tuple[float, _Value] | None:
        """Return (since when, value) at a moment; the first value known where the moment lies before it."""
        found = self._steps[0] if self._steps else None
        for step in self._steps:
            if step[0] > moment_s:
                break
            found = step
        return found

    def last_two(self) -> tuple[tuple[float, _Value], tuple[float, _Value]] | None:
        """Return the last two steps, or None where nothing has changed yet."""
        return (self._steps[-2], self._steps[-1]) if len(self._steps) > 1 else None


class Meter:
    """How fast a cumulative count grows, over the last ``span_s`` seconds."""

    def __init__(self, span_s: float) -> None:
        self._span_s = span_s
        self._changes: Changes[int] = Changes(span_s)
        self._first_s: float | None = None
        self._now = 0

    def add(self, at_s: float, count: int) -> None:
        """Note the count at a moment (monotonic seconds)."""
        if self._first_s is None:
            self._first_s = at_s
        self._now = count
        self._changes.add(at_s, count)

    def rate(self, now_s: float) -> float | None:
        """Return the growth per second, never below 0; None where there is only one reading."""
        before = self._changes.at(now_s - self._span_s)
        if before is None or self._first_s is None or now_s <= self._first_s:
            return None
        return max(0.0, (self._now - before[1]) / min(self._span_s, max(1.0, now_s - self._first_s)))
