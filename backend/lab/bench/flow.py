"""What the dashboard has shown of one pipeline over time: how late that was, when it stood still."""

import itertools
import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Any

from coffee_core.load.statistics import new_histogram, note_us


class Flow:
    """The total of one pipeline over time."""

    def __init__(self) -> None:
        self.times_s: list[float] = []
        """When another total was first seen, monotonic seconds."""
        self.totals: list[int] = []
        """Orders shown from then on."""

    @property
    def total(self) -> int:
        """Orders shown now."""
        return self.totals[-1] if self.totals else 0

    def note(self, now_s: float, total: int) -> None:
        """Note what is shown."""
        if not self.totals or total != self.totals[-1]:
            self.times_s.append(now_s)
            self.totals.append(total)

    def first_s(self, total: int) -> float:
        """Return when at least so many orders were first seen, monotonic seconds; infinity where never."""
        place = next((place for place, each in enumerate(self.totals) if each >= total), None)
        return math.inf if place is None else self.times_s[place]

    def total_at(self, at_s: float) -> int:
        """Return how many orders were shown at a time."""
        place = bisect_right(self.times_s, at_s)
        return self.totals[place - 1] if place else 0

    def changes(self, from_s: float, to_s: float) -> int:
        """Return how often another total was seen in a time."""
        return bisect_right(self.times_s, to_s) - bisect_left(self.times_s, from_s)

    def longest_still_s(self, from_s: float, to_s: float) -> float:
        """Return the longest time without a change that ended within, or reached into, this one.

        What stood still at its end is followed to the next change.
        """
        first, last = bisect_left(self.times_s, from_s), bisect_right(self.times_s, to_s)
        moments = [from_s, *self.times_s[first : last + 1]]
        return max((after - before for before, after in itertools.pairwise(moments)), default=0.0)

    def lateness(self, base: int, intended: Sequence[float]) -> tuple[Any, int]:
        """Return how late the total was for each order, as an HDR histogram in µs, and how many it never showed.

        The dashboard shows totals, so its lateness is that of the total: the k-th order, by the time at which it
        was meant to be sent, is visible once ``base + k`` orders are shown. ``base`` is what was shown, or had
        been accepted, before the first of them.
        """
        histogram, unseen = new_histogram(), 0
        place = bisect_left(self.times_s, min(intended, default=0.0))
        for number, intended_s in enumerate(sorted(intended), base + 1):
            while place < len(self.totals) and self.totals[place] < number:
                place += 1
            if place == len(self.totals):
                unseen += 1
            else:
                note_us(histogram, (self.times_s[place] - intended_s) * 1e6)
        return histogram, unseen
