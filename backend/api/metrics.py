"""/metrics for Prometheus: of requests and processes, and of the pipelines, read from Redis at scrape time."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from prometheus_client import ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from backend.api import dashboard
from backend.api.answer_counters import BOUNDS_S, BUCKET, IN_FLIGHT, REQUESTS, SECONDS
from backend.api.live_audit import LiveAudit
from backend.api.standstill import StandstillWatcher
from backend.clients.counters import Counters
from backend.clients.health import Health
from backend.clients.redis import RedisClient
from coffee_core.errors import OutcomeUnknownError, UnavailableError
from coffee_core.latency import BUCKETS_PER_OCTAVE, MAX_BUCKET, bucket_middle_us
from coffee_core.pipelines import Pipeline


class RequestMetrics(Collector):
    """``answer_counters.RequestCounts`` as metrics, of all processes behind the port, and of the processes."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters

    def collect(self) -> Iterable[Metric]:
        """Return the metrics (called by Prometheus' client)."""
        totals, living = self._counters.totals(), self._counters.living()
        requests = CounterMetricFamily(
            "coffee_api_requests", "Requests answered.", labels=["route", "method", "status"]
        )
        buckets: defaultdict[str, list[float]] = defaultdict(lambda: [0.0] * (len(BOUNDS_S) + 1))
        for name, value in totals.items():
            if name.startswith(REQUESTS):
                method, status, route = name.removeprefix(REQUESTS).split(" ", 2)
                requests.add_metric([route, method, status], value)
            elif name.startswith(BUCKET):
                number, _, route = name.removeprefix(BUCKET).partition(" ")
                buckets[route][int(number)] = value
        yield requests
        seconds = HistogramMetricFamily(
            "coffee_api_request_seconds", "From the first byte of a request to its answer.", labels=["route"]
        )
        for route, counts in buckets.items():
            seconds.add_metric([route], _cumulative(counts), sum_value=totals[SECONDS + route])
        yield seconds
        in_flight = GaugeMetricFamily("coffee_api_requests_in_flight", "Requests being answered.")
        in_flight.add_metric([], sum(numbers[IN_FLIGHT] for numbers in living.values()))
        yield in_flight
        yield from _processes({number: int(numbers["pid"]) for number, numbers in living.items()})


def _cumulative(counts: list[float]) -> list[tuple[str, float]]:
    bounds = [*map(str, BOUNDS_S), "+Inf"]
    return [(bound, sum(counts[: at + 1])) for at, bound in enumerate(bounds)]


def _processes(pids: Mapping[int, int]) -> Iterable[Metric]:
    """Return the usual metrics of a process, for each of these, labelled with its number."""
    families: dict[str, Metric] = {}
    for number, pid in pids.items():
        for metric in ProcessCollector(pid=lambda pid=pid: pid, registry=None).collect():  # type: ignore[misc]
            family = families.setdefault(metric.name, Metric(metric.name, metric.documentation, metric.type))
            for sample in metric.samples:
                family.add_sample(sample.name, {"process": str(number)}, sample.value)
    return families.values()


_COUNTS = (
    ("coffee_accepted_orders", "Orders of the log; rows of a pipeline without one.", "accepted"),
    ("coffee_stored_orders", "Rows in PostgreSQL.", "stored"),
    ("coffee_lost_orders", "Orders that were shown or taken from the log, and have no row.", "lost"),
    ("coffee_duplicated_orders", "Rows that the log does not account for.", "duplicated"),
    (
        "coffee_drift_orders",
        "Orders shown beyond those stored; negative: stored and neither shown nor waiting.",
        "drift",
    ),
)
_GAUGES = (
    ("coffee_shown_orders", "Orders that the dashboard shows.", "orders"),
    ("coffee_shown_revenue_cents", "Revenue in cents that the dashboard shows.", "revenue_cents"),
    ("coffee_duplicates", "Repeats of orders that were dropped.", "duplicates"),
    ("coffee_dead_letters", "Entries that could not become an order.", "dead_letters"),
)


_EARLIEST_ID_MS = 1_577_836_800_000
"""2020: before, no entry of ours was added."""
_CLOCK_STEP_US = 60_000_000
"""How far the clock of Redis may have been set back since the entry was added."""


class ShownMetrics(Collector):
    """The newest reading as metrics, without those that could not be read."""

    def __init__(
        self,
        redis: RedisClient,
        healths: Mapping[str, Health],
        live_audit: LiveAudit,
        standstills: StandstillWatcher,
        counters: Counters,
    ) -> None:
        self._redis = redis
        self._healths = healths
        self._live_audit = live_audit
        self._standstills = standstills
        self._counters = counters
        self._reading: dashboard.Reading | None = None
        self._oldest_ms: dict[Pipeline, int | None] = {}

    async def refresh(self) -> None:
        """Read before a scrape."""
        await self._live_audit.newest()
        try:
            self._reading = await dashboard.read(self._redis)
            self._oldest_ms = {
                pipeline: await self._oldest(stream) for pipeline, stream in dashboard.STREAMS.items()
            }
        except (UnavailableError, OutcomeUnknownError):
            self._reading = None  # the health of redis has the reason; coffee_shown_up is 0

    def collect(self) -> Iterable[Metric]:
        """Return the metrics (called by Prometheus' client)."""
        depends = GaugeMetricFamily("coffee_dependency_up", "Whether it answers the API.", labels=["dependency"])
        living = self._counters.living().values()
        for name, health in self._healths.items():
            depends.add_metric([name], bool(health.for_all(living)["up"]))
        yield depends
        yield from self._of_counts()
        yield self._backlog()
        yield from self._of_standstills()
        up = GaugeMetricFamily("coffee_shown_up", "Whether Redis could be read for the dashboard's metrics.")
        up.add_metric([], self._reading is not None)
        yield up
        if self._reading is not None:
            yield from self._of_reading(self._reading)

    async def _oldest(self, stream: str) -> int | None:
        """Return when the oldest entry of a stream was added, in milliseconds; None of an empty one."""
        oldest = await self._redis.command("XRANGE", stream, "-", "+", "COUNT", 1, reading=True)
        return int(oldest[0][0].partition(b"-")[0]) if oldest else None

    def _of_counts(self) -> Iterable[Metric]:
        found = self._live_audit.counts
        up = GaugeMetricFamily("coffee_accounts_up", "Whether rows, log and metrics could be compared.")
        up.add_metric([], bool(found))
        yield up
        for name, words, member in _COUNTS if found else ():
            gauge = GaugeMetricFamily(name, words, labels=["pipeline"])
            for pipeline, counts in found.items():
                if (value := getattr(counts, member)) is not None:
                    gauge.add_metric([pipeline], value)
            yield gauge

    def _backlog(self) -> Metric:
        waiting = {pipeline: counts.in_flight for pipeline, counts in self._live_audit.counts.items()}
        if self._reading is not None:
            waiting |= self._reading.waiting  # newer than the counts
        backlog = GaugeMetricFamily(
            "coffee_backlog_orders", "Accepted orders that the dashboard has yet to show.", labels=["pipeline"]
        )
        for pipeline, orders in waiting.items():
            if orders is not None:
                backlog.add_metric([pipeline], orders)
        return backlog

    def _of_standstills(self) -> Iterable[Metric]:
        stands = GaugeMetricFamily(
            "coffee_standstill", "Whether accepted orders wait and nobody works on them.", labels=["pipeline"]
        )
        seconds = GaugeMetricFamily(
            "coffee_standstill_seconds", "For how long they have waited so; 0 where none do.", labels=["pipeline"]
        )
        for pipeline in self._standstills.pipelines:
            standing = self._standstills.standing.get(pipeline)
            stands.add_metric([pipeline], standing is not None)
            seconds.add_metric([pipeline], 0.0 if standing is None else standing.seconds)
        yield stands
        yield seconds

    def _of_reading(self, reading: dashboard.Reading) -> Iterable[Metric]:
        for name, words, member in _GAUGES:
            gauge = GaugeMetricFamily(name, words, labels=["pipeline"])
            for pipeline, totals in reading.totals.items():
                gauge.add_metric([pipeline], totals[member])
            yield gauge
        lag = GaugeMetricFamily("coffee_lag_seconds", "Age of the oldest order that waits.", labels=["pipeline"])
        for pipeline, oldest_ms in self._oldest_ms.items():
            waited_us = 0 if oldest_ms is None else reading.time_us - oldest_ms * 1_000
            # An id that somebody else has chosen need not be a time: then nobody can tell.
            if oldest_ms is None or (oldest_ms >= _EARLIEST_ID_MS and waited_us > -_CLOCK_STEP_US):
                lag.add_metric([pipeline], max(0, waited_us) / 1_000_000)
        yield lag
        updated = GaugeMetricFamily(
            "coffee_last_update_timestamp_seconds", "When the totals last changed.", labels=["pipeline"]
        )
        for pipeline, totals in reading.totals.items():
            if totals["last_update_us"] is not None:
                updated.add_metric([pipeline], totals["last_update_us"] / 1_000_000)
        yield updated
        late = HistogramMetricFamily(
            "coffee_dashboard_latency_seconds", "From accepted to shown.", labels=["pipeline"]
        )
        for pipeline, counts in reading.latency.items():
            late.add_metric([pipeline], _buckets(counts), sum_value=_sum_s(counts))
        yield late


def _buckets(counts: Mapping[int, int]) -> list[tuple[str, float]]:
    """Return the cumulative counts by octave: upper bound in seconds → orders."""
    found, total, bucket = [], 0, 0
    for octave in range(1, (MAX_BUCKET + 1) // BUCKETS_PER_OCTAVE + 1):
        while bucket < octave * BUCKETS_PER_OCTAVE:
            total += counts.get(bucket, 0)
            bucket += 1
        found.append((str(2**octave / 1_000_000), float(total)))
    # The last bucket also holds whatever was later still: it has no upper bound.
    return [*found[:-1], ("+Inf", float(total))]


def _sum_s(counts: Mapping[int, int]) -> float:
    return sum(count * bucket_middle_us(bucket) for bucket, count in counts.items()) / 1_000_000
