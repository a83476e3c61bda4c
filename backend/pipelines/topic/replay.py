"""What a replay of a topic reports, whoever counts."""

from dataclasses import asdict, dataclass

from coffee_core.money import from_cents
from coffee_core.pipelines import Pipeline


@dataclass(frozen=True, slots=True)
class Replayed:
    """A replay that has ended on the totals of the rows."""

    pipeline: Pipeline
    records: int
    """Records of the topic when the replay began."""
    orders: int
    """Orders shown at the end."""
    revenue_cents: int
    """Cents shown at the end."""
    seconds: float
    """How long it took."""
    epoch: int | None = None
    """Epoch of the job that counted, where a job does."""

    @property
    def summary(self) -> str:
        """The result in one sentence."""
        now = f", now in epoch {self.epoch}" if self.epoch is not None else ""
        replayed = f"{self.pipeline}: {self.records:,} records replayed in {self.seconds} s{now}:"
        return f"{replayed} {self.orders:,} orders, {from_cents(self.revenue_cents)}, the same as the rows"

    def as_json(self) -> dict[str, object]:
        """Return the result for a program."""
        return {name: value for name, value in asdict(self).items() if value is not None}
