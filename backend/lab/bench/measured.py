"""What a load has measured of one pipeline, as a value for reports and conditions."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from coffee_core.latency import quantile_us
from coffee_core.load.outcome import Outcome
from coffee_core.load.sample import Sample

_PERCENTILES = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p999": 99.9}
MOST_SLIPPED = 0.01
"""Share of its requests that a generator may begin late by itself; beyond, what it measured is not valid."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Quantiles in µs; None where nothing was measured."""

    count: int
    """Orders they are of."""
    p50: float | None = None
    p90: float | None = None
    p99: float | None = None
    p999: float | None = None
    max: float | None = None

    @classmethod
    def of_histogram(cls, histogram: Any) -> Self:
        """Read an HDR histogram in µs."""
        count = histogram.get_total_count()
        if not count:
            return cls(0)
        quantiles = {name: histogram.get_value_at_percentile(each) for name, each in _PERCENTILES.items()}
        return cls(count, **quantiles, max=histogram.get_max_value())

    @classmethod
    def of_buckets(cls, buckets: Mapping[int, int]) -> Self:
        """Read a histogram of ``coffee_core.latency``, whose quantiles are off by up to 4.5 %."""
        quantiles = {name: quantile_us(buckets, each / 100) for name, each in _PERCENTILES.items()}
        return cls(sum(buckets.values()), **quantiles, max=quantile_us(buckets, 1))


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
    """As in ``coffee_core.load.outcome``."""
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
        lateness: tuple[Any, int] | None,
        buckets: Mapping[int, int] | None,
    ) -> Self:
        """Put together what clients and dashboard say; ``span`` is start (monotonic) and length in seconds."""
        start_s, for_s = span
        histogram, unseen = lateness if lateness is not None else (None, 0)
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
    def valid(self) -> bool:
        """Tell whether the generator kept its own schedule."""
        return self.slipped <= MOST_SLIPPED * self.sent and (self.sent > 0 or self.offered == 0)

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON has room for it; latencies in µs."""
        return asdict(self)
