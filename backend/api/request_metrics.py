"""What Prometheus reads of the requests, and of the processes that answer them: of all behind the port."""

from collections import defaultdict
from collections.abc import Iterable

from prometheus_client import ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from backend.api.counters import Counters
from backend.api.observe import BOUNDS_S, BUCKET, IN_FLIGHT, REQUESTS, SECONDS


class RequestMetrics(Collector):
    """The counters of ``observe`` in Prometheus' words."""

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
        in_flight.add_metric([], sum(each[IN_FLIGHT] for each in living.values()))
        yield in_flight
        yield from _processes({number: int(each["pid"]) for number, each in living.items()})


def _cumulative(counts: list[float]) -> list[tuple[str, float]]:
    bounds = [*map(str, BOUNDS_S), "+Inf"]
    return [(bound, sum(counts[: at + 1])) for at, bound in enumerate(bounds)]


def _processes(pids: dict[int, int]) -> Iterable[Metric]:
    """Return what is usual of a process, of each with its number."""
    families: dict[str, Metric] = {}
    for number, pid in pids.items():
        for metric in ProcessCollector(pid=lambda pid=pid: pid, registry=None).collect():  # type: ignore[misc]
            family = families.setdefault(metric.name, Metric(metric.name, metric.documentation, metric.type))
            for sample in metric.samples:
                family.add_sample(sample.name, {"process": str(number)}, sample.value)
    return families.values()
