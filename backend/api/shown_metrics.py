"""What Prometheus reads of the pipelines themselves: from Redis, at scrape time."""

from collections.abc import Iterable

from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from backend.api import dashboard
from backend.api.outcome import OutcomeUnknownError, UnavailableError
from backend.api.redis_backend import RedisBackend
from coffee_core.latency import BUCKETS_PER_OCTAVE, MAX_BUCKET, bucket_middle_us

_GAUGES = (
    ("coffee_shown_orders", "Orders that the dashboard shows.", "orders"),
    ("coffee_shown_revenue_cents", "Revenue in cents that the dashboard shows.", "revenue_cents"),
    ("coffee_duplicates", "Repeats of orders that were dropped.", "duplicates"),
    ("coffee_dead_letters", "Entries that could not become an order.", "dead_letters"),
)


class ShownMetrics(Collector):
    """The newest reading as metrics; nothing where Redis could not be read."""

    def __init__(self) -> None:
        self._reading: dashboard.Reading | None = None

    async def refresh(self, redis: RedisBackend) -> None:
        """Read before a scrape."""
        try:
            self._reading = await dashboard.read(redis)
        except (UnavailableError, OutcomeUnknownError):
            self._reading = None  # redis' own health says why; coffee_shown_up is 0

    def collect(self) -> Iterable[Metric]:
        """Return the metrics of the newest reading (called by Prometheus' client)."""
        reading = self._reading
        up = GaugeMetricFamily("coffee_shown_up", "Whether Redis could be read for what follows.")
        up.add_metric([], 0 if reading is None else 1)
        yield up
        if reading is None:
            return
        for name, words, member in _GAUGES:
            gauge = GaugeMetricFamily(name, words, labels=["pipeline"])
            for pipeline, totals in reading.totals.items():
                gauge.add_metric([pipeline], totals[member])
            yield gauge
        backlog = GaugeMetricFamily("coffee_backlog_orders", "Orders that wait on the log.", labels=["pipeline"])
        backlog.add_metric(["v2"], reading.stream_entries)
        yield backlog
        late = HistogramMetricFamily(
            "coffee_dashboard_latency_seconds", "From accepted to shown.", labels=["pipeline"]
        )
        for pipeline, counts in reading.latency.items():
            late.add_metric([pipeline], _buckets(counts), sum_value=_sum_s(counts))
        yield late


def _buckets(counts: dict[int, int]) -> list[tuple[str, float]]:
    """Return the cumulative counts by octave: upper bound in seconds → orders."""
    found, total, bucket = [], 0, 0
    for octave in range(1, (MAX_BUCKET + 1) // BUCKETS_PER_OCTAVE + 1):
        while bucket < octave * BUCKETS_PER_OCTAVE:
            total += counts.get(bucket, 0)
            bucket += 1
        found.append((str(2**octave / 1_000_000), float(total)))
    # The last bucket also holds whatever was later still: it has no upper bound.
    return [*found[:-1], ("+Inf", float(total))]


def _sum_s(counts: dict[int, int]) -> float:
    return sum(count * bucket_middle_us(bucket) for bucket, count in counts.items()) / 1_000_000
