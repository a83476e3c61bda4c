"""What the orders of each pipeline were answered, and how quickly: for the dashboard, by the core's buckets."""

from collections.abc import Mapping

from backend.api.counters import Counters
from coffee_core.latency import bucket_of
from coffee_core.pipelines import Pipeline


class Answers:
    """Counts the answers of one pipeline."""

    def __init__(self, counters: Counters, pipeline: Pipeline) -> None:
        self._counters = counters
        self._values = counters.values
        self._pipeline = pipeline
        self._statuses: dict[int, int] = {}
        self._buckets: dict[int, int] = {}

    def count(self, status: int, latency_us: int, orders: int = 1) -> None:
        """Add one answer, or as many as the batch has orders; only accepted orders count into the latency."""
        place = self._statuses.get(status)
        if place is None:
            place = self._statuses[status] = self._counters.place(f"answers {self._pipeline} {status}")
        self._values[place] += orders
        if status < 300:
            bucket = bucket_of(latency_us)
            place = self._buckets.get(bucket)
            if place is None:
                place = self._buckets[bucket] = self._counters.place(f"latency {self._pipeline} {bucket}")
            self._values[place] += orders


def statuses(totals: Mapping[str, float], pipeline: Pipeline) -> dict[str, int]:
    """Return HTTP status → answers since the first of the API's processes started."""
    return _counted(totals, f"answers {pipeline} ")


def latency(totals: Mapping[str, float], pipeline: Pipeline) -> dict[str, int]:
    """Return bucket of ``coffee_core.latency`` → accepted orders that took so long, since then."""
    return _counted(totals, f"latency {pipeline} ")


def _counted(totals: Mapping[str, float], beginning: str) -> dict[str, int]:
    found = {
        int(name.removeprefix(beginning)): int(count)
        for name, count in totals.items()
        if name.startswith(beginning)
    }
    return {str(number): found[number] for number in sorted(found)}
