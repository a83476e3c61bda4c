"""Counters of requests, for Prometheus, and of what orders were answered and how quickly, for the dashboard."""

import logging
from bisect import bisect_left
from collections.abc import Mapping

from backend.clients.counters import NOW, Counters
from coffee_core.latency import bucket_of
from coffee_core.pipelines import Pipeline

_log = logging.getLogger(__name__)

_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
BOUNDS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Upper bounds in seconds of the buckets of a request's time; there is one more, without an end."""
REQUESTS, SECONDS, BUCKET, IN_FLIGHT = "requests ", "seconds ", "bucket ", "in flight"
"""Beginnings of the counters' names; method and status, or the bucket's number, and the route come after."""


class RequestCounts:
    """Counts requests, for ``metrics.RequestMetrics``."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self.values = counters.values
        """The numbers of this process."""
        self.in_flight = counters.place(NOW + IN_FLIGHT)
        """Place in ``values`` of how many requests are being answered: for ``Observe`` to count up and down."""
        self._logs_each = _log.isEnabledFor(logging.DEBUG)
        self._places: dict[tuple[str, str, int], tuple[int, int, list[int]]] = {}

    def count(self, path: str, method: str, status: int, took_s: float) -> None:
        """Count an answer that took so many seconds; ``path`` is the route's template."""
        key = (path, method if method in _METHODS else "other", status)
        places = self._places.get(key)
        if places is None:
            places = self._places[key] = self._places_of(*key)
        requests, seconds, buckets = places
        self.values[requests] += 1
        self.values[seconds] += took_s
        self.values[buckets[bisect_left(BOUNDS_S, took_s)]] += 1
        if self._logs_each:
            _log.debug("%s %s: %d after %.1f ms", method, path, status, took_s * 1_000)

    def _places_of(self, path: str, method: str, status: int) -> tuple[int, int, list[int]]:
        place = self._counters.place
        buckets = [place(f"{BUCKET}{number} {path}") for number in range(len(BOUNDS_S) + 1)]
        return place(f"{REQUESTS}{method} {status} {path}"), place(f"{SECONDS}{path}"), buckets


class AnswerCounts:
    """Counts the answers of one pipeline, and how long accepted orders took, by ``coffee_core.latency``."""

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


def accepted(totals: Mapping[str, float], pipeline: Pipeline) -> int:
    """Return the orders that were answered with 2xx, repeats included."""
    return sum(count for status, count in statuses(totals, pipeline).items() if status.startswith("2"))


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
