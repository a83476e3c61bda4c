"""What a client has measured of one pipeline: counts, latencies, when accepted orders were meant to be sent."""

import base64
import json
import math
from array import array
from dataclasses import dataclass, field
from typing import Any, Self
from uuid import UUID

from coffee_core.load.mix import Kind
from coffee_core.load.outcome import Answer, Outcome
from coffee_core.load.statistics import Counts, new_histogram


@dataclass(slots=True)
class Sample:
    """One pipeline's share of a load that has ended; those of several clients add up."""

    offered: int = 0
    sent: int = 0
    late: int = 0
    slipped: int = 0
    outcomes: dict[Outcome, int] = field(default_factory=lambda: dict.fromkeys(Outcome, 0))
    """As in ``Counts``."""
    latency: Any = field(default_factory=new_histogram)
    """HDR histogram in µs, from the intended send time, of everything that was answered."""
    intended: "array[float]" = field(default_factory=lambda: array("d"))
    """When each distinct order that was acknowledged was meant to be sent: monotonic seconds, 8 bytes each."""
    last_answer_s: float = -math.inf
    """When the last answer came, monotonic seconds."""
    reasons: dict[str, int] = field(default_factory=dict)
    """Why orders were not acknowledged → how often."""

    @property
    def acknowledged(self) -> int:
        """Requests that were acknowledged, repeats among them."""
        return self.outcomes[Outcome.ACKNOWLEDGED]

    def take(self, counts: Counts) -> Self:
        """Take over what the generator has counted, and return this."""
        self.offered, self.sent, self.late, self.slipped = counts.offered, counts.sent, counts.late, counts.slipped
        self.outcomes, self.latency = dict(counts.outcomes), counts.latency
        return self

    def add(self, other: Self) -> None:
        """Add what another client has measured of the same pipeline."""
        self.offered += other.offered
        self.sent += other.sent
        self.late += other.late
        self.slipped += other.slipped
        for outcome, count in other.outcomes.items():
            self.outcomes[outcome] += count
        self.latency.add(other.latency)
        self.intended.extend(other.intended)
        self.last_answer_s = max(self.last_answer_s, other.last_answer_s)
        for reason, count in other.reasons.items():
            self.reasons[reason] = self.reasons.get(reason, 0) + count

    def to_json(self) -> str:
        """Write it as one line: histogram and times in base64."""
        raw = {name: getattr(self, name) for name in ("offered", "sent", "late", "slipped", "outcomes", "reasons")}
        return json.dumps(
            raw
            | {
                "latency": self.latency.encode().decode(),
                "intended": base64.b64encode(self.intended.tobytes()).decode(),
                "last_answer_s": self.last_answer_s if math.isfinite(self.last_answer_s) else None,
            }
        )

    @classmethod
    def from_json(cls, line: str | bytes) -> Self:
        """Read what ``to_json`` has written."""
        raw = json.loads(line)
        sample = cls(**{name: raw[name] for name in ("offered", "sent", "late", "slipped", "reasons")})
        sample.outcomes = {Outcome(name): count for name, count in raw["outcomes"].items()}
        sample.latency.decode_and_add(raw["latency"])
        sample.intended.frombytes(base64.b64decode(raw["intended"]))
        sample.last_answer_s = -math.inf if raw["last_answer_s"] is None else raw["last_answer_s"]
        return sample


class Notes:
    """Notes the answers of one pipeline as they come: each distinct order that was acknowledged counts once."""

    def __init__(self) -> None:
        self.sample = Sample()
        """What has been noted so far."""
        self._failed: set[UUID] = set()

    def note(self, answer: Answer) -> None:
        """Note an answer."""
        sample, attempt = self.sample, answer.attempt
        sample.last_answer_s = max(sample.last_answer_s, answer.intended_s + answer.latency_us / 1e6)
        if answer.outcome is Outcome.ACKNOWLEDGED:
            # A repeat counts only where its order was not acknowledged before.
            if attempt.kind is Kind.NEW or attempt.key in self._failed:
                sample.intended.append(answer.intended_s)
                if attempt.key is not None:
                    self._failed.discard(attempt.key)
            return
        if attempt.kind is Kind.NEW and attempt.key is not None:
            self._failed.add(attempt.key)
        if attempt.kind is not Kind.MALFORMED:
            sample.reasons[answer.reason] = sample.reasons.get(answer.reason, 0) + 1
