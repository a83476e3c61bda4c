"""One pipeline's share of a load: what is due, what was offered, what became of it."""

import math

from coffee_core.load.schedule import Burst, OpenTimes, Times
from coffee_core.load.shape import Shape
from coffee_core.load.statistics import Counts


class Lane:
    """The schedules in play for one pipeline: at most one open one, closed ones not used up, bursts."""

    def __init__(self) -> None:
        self._counts = Counts()
        self._open: OpenTimes | None = None
        self._active: list[Times] = []
        self._past = 0

    @property
    def running(self) -> bool:
        """Tell whether a load without an end is set."""
        return self._open is not None

    @property
    def next_s(self) -> float:
        """When the next order is meant to be sent, monotonic seconds; infinity where nothing is due."""
        return min((times.next_s for times in self._active), default=math.inf)

    def take(self, now_s: float) -> float:
        """Return the next intended time and move on."""
        intended_s = min(self._active, key=lambda times: times.next_s).take()
        self._retire(now_s)
        return intended_s

    def run(self, shape: Shape | None, now_s: float) -> None:
        """Go on in another shape (None: in none); what was offered before stays due."""
        start_s = now_s
        if self._open is not None:
            planned_s = self._open.close(now_s)
            # The next order keeps its time where the new rate would not have it earlier.
            start_s = planned_s if shape is None else min(planned_s, now_s + 1 / shape.rate_per_s)
        self._open = None if shape is None else shape.times(start_s)
        if self._open is not None:
            self._active.append(self._open)
        self._retire(now_s)

    def run_for(self, shape: Shape, start_s: float, for_s: float, seed: int | None = None) -> None:
        """Offer a shape from ``start_s`` (monotonic seconds) on, for so many seconds."""
        times = shape.times(start_s, seed)
        times.close(start_s + for_s)
        self._active.append(times)

    def burst(self, orders: int, now_s: float) -> None:
        """Offer a number of orders at once."""
        self._active.append(Burst(orders, now_s))

    def drop(self, now_s: float) -> None:
        """Offer nothing more; what was offered and not sent stays counted as offered."""
        self._past, self._open = self._offered(now_s), None
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
