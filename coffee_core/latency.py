"""A log-bucketed histogram of latencies that Lua, SQL and Python fill alike.

A latency of x µs falls into bucket ⌊8·log2(max(x, 1))⌋: eight buckets an octave, so that a quantile read
from it is off by at most 4.5 % (2^(1/16) − 1). 0 is 1 µs, 159 is about 1 s, 287 about 18 h.
The scheme is that of HDR histograms and of Prometheus' native ones (schema 3).
"""

import math
from collections.abc import Mapping

BUCKETS_PER_OCTAVE = 8
MAX_BUCKET = 287
"""Everything later than about 18 h is counted here."""


def bucket_of(latency_us: float) -> int:
    """Return the bucket of a latency in µs; below 1 µs, and negative by clock skew, it is 0."""
    if latency_us <= 1:
        return 0
    return min(MAX_BUCKET, int(BUCKETS_PER_OCTAVE * math.log2(latency_us)))


def bucket_middle_us(bucket: int) -> float:
    """Return the geometric middle of a bucket in µs."""
    return float(2 ** ((bucket + 0.5) / BUCKETS_PER_OCTAVE))


def difference(now: Mapping[int, int], before: Mapping[int, int]) -> dict[int, int]:
    """Return what was added to a cumulative histogram since an earlier reading.

    Where a bucket has shrunk the histogram was reset in between: then all of ``now`` is new.
    """
    if any(now.get(bucket, 0) < count for bucket, count in before.items()):
        return dict(now)
    added = {bucket: count - before.get(bucket, 0) for bucket, count in now.items()}
    return {bucket: count for bucket, count in added.items() if count}


def quantile_us(counts: Mapping[int, int], q: float) -> float | None:
    """Return the q-quantile (0 ≤ q ≤ 1) in µs by nearest rank, or None of an empty histogram."""
    total = sum(counts.values())
    if not total:
        return None
    rank = max(1, math.ceil(q * total))
    seen = 0
    for bucket in sorted(counts):
        seen += counts[bucket]
        if seen >= rank:
            return bucket_middle_us(bucket)
    raise AssertionError("the ranks of a histogram add up to its total")
