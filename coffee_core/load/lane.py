"""One pipeline's share of a load: what is due, what was offered, what became of it."""

import math

from coffee_core.load.schedule import Burst, Steady, Times
from coffee_core.load.statistics import Counts


class Lane:
    """The schedules in play for one pipeline: at most one open steady one, closed ones not used up, bursts."""

    def __init__(self) -> None:
        self._counts = Counts()
        self._steady: Steady | None = None
        self._active: list[Times] = []
        self._past = 0

    @property
    def steady(self) -> bool:
        """Tell whether a rate is set."""
        return self._steady is not None

    @property
    def next_s(self) -> float:
        """When the next order is meant to be sent, monotonic seconds; infinity where nothing is due."""
        return min((times.next_s for times in self._active), default=math.inf)

    def take(self, now_s: float) -> float:
        """Return the next intended time and move on."""
        intended_s = min(self._active, key=lambda times: times.next_s).take()
        self._retire(now_s)
        return intended_s

    def run_at(self, rate_per_s: float | None, now_s: float) -> None:
        """Go on at another rate (None: at none); what was offered before stays due."""
        start_s = now_s
        if self._steady is not None:
            planned_s = self._steady.close(now_s)
            # The next order keeps its time where the new rate would not have it earlier.
            start_s = planned_s if rate_per_s is None else min(planned_s, now_s + 1 / rate_per_s)
        self._steady = None if rate_per_s is None else Steady(rate_per_s, start_s)
        if self._steady is not None:
            self._active.append(self._steady)
        self._retire(now_s)

    def burst(self, orders: int, now_s: float) -> None:
        """Offer a number of orders at once."""
        self._active.append(Burst(orders, now_s))

    def drop(self, now_s: float) -> None:
        """Offer nothing more; what was offered and not sent stays counted as offered."""
        self._past, self._steady = self._offered(now_s), None
        self._active.clear()

    def counts(self, now_s: float) -> Counts:
        """Return the counts as they stand."""
        self._counts.offered = self._offered(now_s)
        return self._counts

    def _offered(self, now_s: float) -> int:
        return self._past + sum(times.offered(now_s) for times in self._active)

    def _retire(self, now_s: float) -> None:
        for times in [each for each in self._active if each.next_s == math.inf]:
            self._past += times.offered(now_s)
            self._active.remove(times)
