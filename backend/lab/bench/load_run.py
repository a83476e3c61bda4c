"""``coffee load``, one load from beginning to end: the clients, the dashboard, and the figures of both."""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from typing import Any, Self

from redis.exceptions import RedisError

from backend.lab.bench.load_clients import LoadClients, OnReport
from backend.lab.bench.visibility import Buckets, VisibilityWatcher, read_buckets
from coffee_core.latency import difference, quantile_us
from coffee_core.load.histogram import LatencyHistogram
from coffee_core.load.plan import Plan
from coffee_core.load.statistics import Outcome, Sample
from coffee_core.pipelines import Pipeline
from coffee_core.settings import Settings

SCHEMA = "coffee-load/1"
"""Name and version of the JSON: the number grows where a reader of the one before would be wrong."""
_PERCENTILES = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p999": 99.9}
_LEAST_FOR_P999 = 1_000
"""Orders below which the p99.9 would be the maximum."""
MOST_SLIPPED = 0.01
"""Share of its requests that a generator may begin late by itself; beyond, what it measured is not valid."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Quantiles in µs; None where nothing was measured, p99.9 also of fewer than 1,000 orders."""

    count: int
    """Orders they are of."""
    p50: float | None = None
    p90: float | None = None
    p99: float | None = None
    p999: float | None = None
    max: float | None = None

    @classmethod
    def of_histogram(cls, histogram: LatencyHistogram) -> Self:
        """Read the quantiles of a histogram."""
        count = histogram.total
        if not count:
            return cls(0)
        quantiles = {name: histogram.percentile_us(percentile) for name, percentile in _of(count).items()}
        return cls(count, **quantiles, max=histogram.max_us)

    @classmethod
    def of_buckets(cls, buckets: Mapping[int, int]) -> Self:
        """Read a histogram of ``coffee_core.latency``, whose quantiles are off by up to 4.5 %."""
        count = sum(buckets.values())
        quantiles = {name: quantile_us(buckets, percentile / 100) for name, percentile in _of(count).items()}
        return cls(count, **quantiles, max=quantile_us(buckets, 1))


def _of(count: int) -> dict[str, float]:
    """Return the percentiles that so many orders have."""
    return {
        name: percentile for name, percentile in _PERCENTILES.items() if name != "p999" or count >= _LEAST_FOR_P999
    }


@dataclass(frozen=True, slots=True)
class Measured:
    """One pipeline under one load."""

    offered: int
    """Requests that were meant to be sent."""
    sent: int
    """Requests begun."""
    acknowledged: int
    """Requests answered with 2xx, repeats among them."""
    accepted: int
    """Distinct orders among these: what must become visible."""
    rejected: int
    refused: int
    unknown: int
    """As in ``coffee_core.load.statistics.Outcome``."""
    late: int
    """Requests begun more than 50 ms late."""
    slipped: int
    """Of these, the generator's own fault."""
    offered_per_s: float
    achieved_per_s: float
    """Acknowledged until the last answer."""
    api: Latency
    """Intended send time to the end of the answer."""
    dashboard: Latency
    """Intended send time to visible in Redis."""
    shown: Latency
    """Acceptance by the API to visible in Redis, as the lab measures every order, whoever sent it."""
    unseen: int
    """Accepted orders that were not visible when the time was up."""
    reasons: dict[str, int]
    """Why orders were not acknowledged → how often."""

    @classmethod
    def of(
        cls,
        sample: Sample,
        span: tuple[float, float],
        visible_latency: tuple[Any, int] | None,
        buckets: Mapping[int, int] | None,
    ) -> Self:
        """Combine the figures of clients and dashboard; ``span`` is start (monotonic) and length in seconds."""
        start_s, for_s = span
        histogram, unseen = visible_latency if visible_latency is not None else (None, 0)
        return cls(
            offered=sample.offered,
            sent=sample.sent,
            acknowledged=sample.acknowledged,
            accepted=len(sample.intended),
            rejected=sample.outcomes[Outcome.REJECTED],
            refused=sample.outcomes[Outcome.REFUSED],
            unknown=sample.outcomes[Outcome.UNKNOWN],
            late=sample.late,
            slipped=sample.slipped,
            offered_per_s=sample.offered / for_s,
            achieved_per_s=sample.acknowledged / max(for_s, sample.last_answer_s - start_s),
            api=Latency.of_histogram(sample.latency),
            dashboard=Latency(0) if histogram is None else Latency.of_histogram(histogram),
            shown=Latency(0) if buckets is None else Latency.of_buckets(buckets),
            unseen=unseen,
            reasons=sample.reasons,
        )

    @property
    def failed(self) -> int:
        """Requests that were sent well-formed and not acknowledged; meaningless where malformed ones were sent."""
        return self.refused + self.unknown + self.rejected

    @property
    def unsent(self) -> int:
        """Requests that were meant to be sent and never begun: the overtime was up."""
        return self.offered - self.sent

    @property
    def valid(self) -> bool:
        """Tell whether all was sent and the generator kept its own schedule."""
        return not self.invalid

    @property
    def invalid(self) -> str:
        """Why the numbers mean nothing; empty where all was sent and the generator kept its own schedule."""
        if self.unsent:
            return f"{self.unsent:,} of {self.offered:,} requests were never begun: that is more than was taken"
        if self.slipped > MOST_SLIPPED * self.sent:
            return f"the generator began {self.slipped:,} of {self.sent:,} requests over 50 ms late by itself"
        return ""

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values; latencies in µs."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class LoadResult:
    """A load that has ended."""

    measured: Mapping[Pipeline, Measured]
    notes: tuple[str, ...]
    """What there is to know of the numbers, in sentences."""

    @property
    def invalid(self) -> str:
        """Why the numbers mean nothing; empty where they do."""
        return "; ".join(
            f"{pipeline}: {reason}" for pipeline, measured in self.measured.items() if (reason := measured.invalid)
        )


async def load(
    settings: Settings, plan: Plan, clients: int, settle_s: float, on_report: OnReport | None = None
) -> LoadResult:
    """Run a plan with so many client processes, and wait up to ``settle_s`` until what was accepted is visible.

    Where Redis cannot be reached, only the answers are measured. Raises LoadClientError.
    """
    notes: list[str] = []
    async with AsyncExitStack() as stack:
        sending = await stack.enter_async_context(LoadClients(settings.api_url, clients))
        watcher, before = await _watch(stack, settings, plan, notes)
        bases = {pipeline: watcher.histories[pipeline].total for pipeline in plan.pipelines} if watcher else {}
        start_s, samples = await sending.run(plan, on_report)
        after = None
        if watcher is not None:
            wanted = {pipeline: bases[pipeline] + len(sample.intended) for pipeline, sample in samples.items()}
            await watcher.reached(wanted, settle_s)
            after = await _buckets(settings, plan, notes)
        measured = {}
        for pipeline, sample in samples.items():
            visible_latency = (
                watcher.histories[pipeline].visible_latency(bases[pipeline], sample.intended) if watcher else None
            )
            added = difference(after[pipeline], before[pipeline]) if after and before else None
            measured[pipeline] = Measured.of(sample, (start_s, plan.for_s), visible_latency, added)
            if watcher is not None:
                notes += _doubts(
                    pipeline, measured[pipeline], watcher.histories[pipeline].total - bases[pipeline], settle_s
                )
    return LoadResult(measured, tuple(notes))


def _doubts(pipeline: Pipeline, measured: Measured, more: int, settle_s: float) -> list[str]:
    if (others := more - measured.accepted) > 0:
        cause = "others order, too, or an answer was lost; the dashboard's latency is then too good"
        return [f"{pipeline}: {others:,} more orders became visible than were acknowledged here: {cause}"]
    if measured.unseen:
        return [f"{pipeline}: {measured.unseen:,} orders were not visible {settle_s:g} s after the last answer"]
    return []


async def _watch(
    stack: AsyncExitStack, settings: Settings, plan: Plan, notes: list[str]
) -> tuple[VisibilityWatcher | None, Buckets | None]:
    before = await _buckets(settings, plan, notes)
    if before is None:
        return None, None
    return await stack.enter_async_context(VisibilityWatcher(settings.redis_url, plan.pipelines)), before


async def _buckets(settings: Settings, plan: Plan, notes: list[str]) -> Buckets | None:
    try:
        return await read_buckets(settings.redis_url, plan.pipelines)
    except (RedisError, OSError) as error:
        notes.append(f"Redis cannot be read ({error}): what is visible was not measured")
        return None


def as_json(loaded: LoadResult, plan: Plan, clients: int, unmet: Sequence[str]) -> dict[str, Any]:
    """Return everything; latencies in µs, rates per second."""
    return {
        "schema": SCHEMA,
        "valid": not loaded.invalid,
        "invalid": loaded.invalid,
        "unmet": list(unmet),
        "seconds": plan.for_s,
        "clients": clients,
        "seed": plan.seed,
        "shape": {name: getattr(plan.shape, name) for name in plan.shape.__slots__},
        "pipelines": {str(pipeline): measured.as_json() for pipeline, measured in loaded.measured.items()},
        "notes": list(loaded.notes),
    }


def as_table(loaded: LoadResult) -> list[str]:
    """Return lines for people."""
    rows = [["", "offered/s", "achieved/s", "refused", "unknown", "late", "p50", "p90", "p99", "p99.9", "max"]]
    for pipeline, measured in loaded.measured.items():
        counts = [f"{measured.offered_per_s:,.1f}", f"{measured.achieved_per_s:,.1f}"]
        counts += [f"{count:,}" for count in (measured.refused, measured.unknown, measured.late)]
        rows.append([f"{pipeline} {pipeline.info.title}: answer", *counts, *_latency(measured.api)])
        rows.append(["    on the dashboard", *[""] * 5, *_latency(measured.dashboard)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(
            [
                row[0].ljust(widths[0]),
                *(column.rjust(width) for column, width in zip(row[1:], widths[1:], strict=True)),
            ]
        )
        for row in rows
    ]
    reasons = [
        f"{pipeline}: {count:,} × {reason}"
        for pipeline, measured in loaded.measured.items()
        for reason, count in sorted(measured.reasons.items(), key=lambda item: -item[1])[:3]
    ]
    return [*lines, *reasons, *loaded.notes]


def _latency(latency: Latency) -> list[str]:
    return [duration(value) for value in (latency.p50, latency.p90, latency.p99, latency.p999, latency.max)]


def duration(value_us: float | None) -> str:
    """Return µs in the unit in which people read it."""
    if value_us is None:
        return "–"
    for unit, size in (("s", 1e6), ("ms", 1e3)):
        if value_us >= size:
            return f"{value_us / size:.3g} {unit}"
    return f"{value_us:.0f} µs"
