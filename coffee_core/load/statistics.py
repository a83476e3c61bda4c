"""What a generator counts, for each pipeline."""

from dataclasses import dataclass, field
from typing import Any

from hdrh.histogram import HdrHistogram

from coffee_core.load.outcome import Answer, Outcome

_HIGHEST_US = 3_600_000_000
_DIGITS = 3


def new_histogram() -> Any:
    """Return an empty histogram of latencies from 1 µs to an hour, exact to three digits."""
    return HdrHistogram(1, _HIGHEST_US, _DIGITS)


def note_us(histogram: Any, latency_us: float) -> None:
    """Record a latency in µs, where the histogram's range ends at its end."""
    histogram.record_value(min(_HIGHEST_US, max(1, round(latency_us))))


@dataclass(slots=True)
class Counts:
    """Counts of one pipeline since its generator was made."""

    offered: int = 0
    """Orders that were meant to be sent by now."""
    sent: int = 0
    """Requests begun."""
    late: int = 0
    """Requests begun more than ``LATE_S`` after they were meant to be, whoever was to blame."""
    slipped: int = 0
    """Of these, those that the generator itself was late with: not held up by requests without an answer."""
    outcomes: dict[Outcome, int] = field(default_factory=lambda: dict.fromkeys(Outcome, 0))
    """Requests ended, by what became of them."""
    latency: Any = field(default_factory=new_histogram)
    """HDR histogram in µs, from the intended send time, of everything that was answered."""

    @property
    def ended(self) -> int:
        """Requests ended."""
        return sum(self.outcomes.values())

    @property
    def in_flight(self) -> int:
        """Requests begun and not ended."""
        return self.sent - self.ended

    def begun(self, late_s: float, own_s: float) -> None:
        """Count a request as it is sent, and how late: in all, and by the generator itself, in seconds."""
        self.sent += 1
        self.late += late_s > LATE_S
        self.slipped += own_s > LATE_S

    def record(self, answer: Answer) -> None:
        """Count an answer."""
        self.outcomes[answer.outcome] += 1
        if answer.status is not None:
            note_us(self.latency, answer.latency_us)

    def as_dict(self) -> dict[str, Any]:
        """Return the counts as JSON has room for them; p50_us and p99_us are None where nothing was answered."""
        measured = self.latency.get_total_count() > 0
        return {
            "offered": self.offered,
            "sent": self.sent,
            "late": self.late,
            "slipped": self.slipped,
            "in_flight": self.in_flight,
            **{str(outcome): count for outcome, count in self.outcomes.items()},
            "p50_us": self.latency.get_value_at_percentile(50) if measured else None,
            "p99_us": self.latency.get_value_at_percentile(99) if measured else None,
        }


LATE_S = 0.05
"""A request begun this much after its intended time is late."""
