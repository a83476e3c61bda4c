"""The fence of v1's metrics: which rows they contain, by a snapshot of PostgreSQL."""

import re
from dataclasses import dataclass

from redis.exceptions import ResponseError

from coffee_core.keys import MetricKeys
from coffee_core.pipelines.constants import V1

METRICS = MetricKeys(V1)
_FENCE = re.compile(r"[0-9]{1,20}:[0-9]{1,20}:(?:[0-9]{1,20}(?:,[0-9]{1,20})*)? [0-9]{1,17}")
"""A snapshot as PostgreSQL writes it, and microseconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Fence:
    """The snapshot of the last run that was written; a run is written only over the fence that it started from.

    A snapshot taken after reading a fence contains all that the fence's snapshot does. So where the fence still
    stands at the time of writing, nothing newer is overwritten; where it has moved, the other run is as new.
    """

    snapshot: str | None = None
    """PostgreSQL's text of the snapshot; None before the first run."""
    taken_at_us: int = 0
    """When, by the clock of the aggregator: microseconds since the epoch."""

    def __str__(self) -> str:
        return "" if self.snapshot is None else f"{self.snapshot} {self.taken_at_us}"

    @classmethod
    def parse(cls, text: str | None) -> "Fence":
        """Parse what ``str`` returns; no text is the fence before the first run.

        Raises ResponseError, as Redis does of a key of another kind, where somebody else has written the text.
        """
        if not text:
            return cls()
        if not _FENCE.fullmatch(text):
            raise ResponseError(f"{METRICS.fence} holds no snapshot and time; delete it")
        snapshot, _, taken_at_us = text.rpartition(" ")
        return cls(snapshot, int(taken_at_us))
