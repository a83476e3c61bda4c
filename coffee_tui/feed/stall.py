"""Whether accepted orders fail to become visible: told by what grows and what stands still."""

from coffee_tui.feed.clock import Moment
from coffee_tui.feed.history import LAST_UPDATE
from coffee_tui.feed.readings import MetricsReading

_GRACE_S = 2.0
"""The API is read once a second and Redis at once: less than this is the reading, not the pipeline."""


class Stall:
    """Compares the growth of what the API accepts with the growth of what Redis shows.

    It never compares the two totals: repeats are accepted and not counted again, and the API counts from its own
    start. So it says since when nothing was shown, never how many orders are missing.
    """

    def __init__(self) -> None:
        self._accepted: int | None = None
        self._shown: tuple[int, int] | None = None
        self._waiting_since_s: float | None = None
        self._asked_s = self._progress_s = float("-inf")
        self.waiting = 0
        """2xx answers seen since anything was last shown, repeats included."""

    def accepted(self, moment: Moment, total: int) -> None:
        """Take the API's count of 2xx answers."""
        if self._accepted is not None and total > self._accepted:
            self.waiting += total - self._accepted
            # What was shown since the API was asked before may be these very orders.
            if self._waiting_since_s is None and self._progress_s < self._asked_s:
                self._waiting_since_s = moment.at_s
        self._accepted, self._asked_s = total, moment.at_s

    def shown(self, moment: Moment, reading: MetricsReading) -> None:
        """Take what Redis shows: a new total, or a new update that dropped only repeats, is progress."""
        progress = (reading.orders, reading.counters.get(LAST_UPDATE, 0))
        if self._shown is not None and progress != self._shown:
            self.waiting = 0
            self._waiting_since_s = None
            self._progress_s = moment.at_s
        self._shown = progress

    def seconds(self, moment: Moment) -> int | None:
        """Return the whole seconds since accepted orders are waiting; None where that is nothing to speak of."""
        if self._waiting_since_s is None:
            return None
        waited_s = moment.at_s - self._waiting_since_s
        return int(waited_s) if waited_s >= _GRACE_S else None
