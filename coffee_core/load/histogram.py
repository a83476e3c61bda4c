"""A histogram of latencies from 1 µs to an hour, whose quantiles are exact to three digits.

The buckets are those of HdrHistogram (Gil Tene): each whole µs below 2,048 has its own, each octave above has
1,024 of equal width, so that what is read is less than 0.1 % above what was recorded. A bucket is known by its
highest value, and kept only where something was recorded: a load fills a few hundred.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Self

HIGHEST_US = 3_600_000_000
"""Whatever took longer is counted as an hour."""
_EXACT_BITS = 11


class LatencyHistogram:
    """Counts of latencies; those of several clients add up."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        """Highest value of a bucket in µs → latencies in it."""

    def record(self, latency_us: float) -> None:
        """Record a latency in µs."""
        bucket = round(latency_us)
        if not 0 < bucket <= HIGHEST_US:
            bucket = HIGHEST_US if bucket > 0 else 1
        if (coarse_bits := bucket.bit_length() - _EXACT_BITS) > 0:
            bucket |= (1 << coarse_bits) - 1
        self._counts[bucket] += 1

    def add(self, other: Self) -> None:
        """Add what another one has counted."""
        self._counts.update(other._counts)

    @property
    def total(self) -> int:
        """Latencies recorded."""
        return self._counts.total()

    @property
    def max_us(self) -> int:
        """Highest latency in µs; 0 where nothing was recorded."""
        return max(self._counts, default=0)

    def percentile_us(self, percentile: float) -> int:
        """Return the latency in µs at a percentile (0 to 100) by nearest rank; 0 where nothing was recorded."""
        rank = max(1, int(percentile / 100 * self.total + 0.5))
        seen = 0
        for highest_us in sorted(self._counts):
            seen += self._counts[highest_us]
            if seen >= rank:
                return highest_us
        return self.max_us

    def as_dict(self) -> dict[str, int]:
        """Return highest value of a bucket in µs → latencies, as JSON has room for it."""
        return {str(highest_us): count for highest_us, count in sorted(self._counts.items())}

    @classmethod
    def from_dict(cls, raw: Mapping[str, int]) -> Self:
        """Read what ``as_dict`` has written."""
        histogram = cls()
        histogram._counts.update({int(highest_us): count for highest_us, count in raw.items()})
        return histogram
