"""What the repairs of all pipelines have in common: what they report, and to whom."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from coffee_core.metrics import HASHES
from coffee_core.pipelines import Pipeline
from coffee_core.totals import Totals

Progress = Callable[[int, int], None]
"""Called now and then with how much is done, and how much there is to do."""


class Replay(Protocol):
    """A replay that has ended on the same numbers."""

    @property
    def summary(self) -> str:
        """The result in one sentence."""

    def as_json(self) -> dict[str, object]:
        """Return the result for a program."""


@dataclass(frozen=True, slots=True)
class Mended:
    """What a reconciliation found, and whether it is mended now."""

    pipeline: Pipeline
    orders: int
    """Orders added to the metrics, or to be added where it is not mended; negative where they showed too many."""
    revenue_cents: int
    """Cents added."""
    fields: dict[str, int]
    """Hash and field, as ``drink_counts.latte`` → what was added; only those that were off."""
    mended: bool
    """False where this needs another step, which ``advice`` names."""
    advice: str = ""
    """What to do where it is not mended."""

    @property
    def drifted(self) -> bool:
        """Whether something was off."""
        return bool(self.orders or self.revenue_cents or self.fields)

    @classmethod
    def of_drift(cls, pipeline: Pipeline, drift: Totals, *, advice: str = "") -> "Mended":
        """Turn a drift, shown minus stored, into what has to be added; with an ``advice`` it is not mended yet."""
        hashes = zip(HASHES, drift.hashes, strict=True)
        fields = {f"{key}.{name}": -by for key, changes in hashes for name, by in changes.items() if by}
        found = cls(pipeline, -drift.orders, -drift.revenue_cents, fields, mended=True)
        if not advice or not found.drifted:
            return found
        return cls(pipeline, found.orders, found.revenue_cents, fields, mended=False, advice=advice)


@dataclass(frozen=True, slots=True)
class Savepoint:
    """A savepoint that is complete."""

    uri: str
    """Where it lies."""
    job: str
    """The job whose state it is."""
    stopped: bool
    """The job has ended with it: nothing was counted after it."""
    seconds: float
    """How long it took."""
