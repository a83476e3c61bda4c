"""When the aggregator and the reconciler are due."""

import math

from coffee_core.clock import now_us


class Schedule:
    """Due times at whole intervals from the start, however long a run takes: on a monotonic clock, in seconds."""

    def __init__(self, interval_s: float, start_s: float) -> None:
        self._interval_s = interval_s
        self._start_s = start_s

    def next_s(self, monotonic_s: float) -> float:
        """Return the first due time after ``monotonic_s``; due times that have passed are skipped."""
        return self._start_s + self._interval_s * (
            math.floor((monotonic_s - self._start_s) / self._interval_s) + 1
        )

    def next_us(self, monotonic_s: float) -> int:
        """Return the same by the wall clock, for people, in microseconds since the epoch."""
        return now_us() + round((self.next_s(monotonic_s) - monotonic_s) * 1e6)
