"""What a load measures, for each pipeline: outcomes, counts, latencies, samples, the last answers."""

import base64
import json
import math
from array import array
from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self
from uuid import UUID

from coffee_core.clock import now_us
from coffee_core.load.histogram import LatencyHistogram
from coffee_core.load.orders import Attempt, Kind

LATE_S = 0.05
"""A request begun this much after its intended time is late."""
_LATEST = 6


class Outcome(StrEnum):
    """What is known of an order once its request has ended: acknowledged ⊆ stored ⊆ attempted."""

    ACKNOWLEDGED = "acknowledged"
    """2xx: stored, or on a log that will store it."""
    REFUSED = "refused"
    """503, 429, 409 or no connection could be made: this request went nowhere; try again."""
    REJECTED = "rejected"
    """Any other 4xx: certainly nowhere; trying again will not help."""
    UNKNOWN = "unknown"
    """No answer, or one that does not know either: it may be stored. A repeat under its key is safe."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The end of one attempt."""

    attempt: Attempt
    """What was sent."""
    outcome: Outcome
    """What is known of it."""
    status: int | None
    """HTTP status; None where there was no answer."""
    message_id: str | None
    """The id that the API answered; None where it answered none."""
    reason: str
    """Title and detail of the problem, or the error; empty where acknowledged."""
    latency_us: int
    """From the intended send time to the end of the answer, in µs."""
    intended_s: float = 0.0
    """When it was meant to be sent, monotonic seconds."""


def outcome_of(status: int) -> Outcome:
    """Return the outcome of an order by its HTTP status."""
    if 200 <= status < 300:
        return Outcome.ACKNOWLEDGED
    if status in (409, 429, 503):
        return Outcome.REFUSED
    # After any other 5xx (500, a proxy's 502, the API's own 504) the order may have been stored.
    return Outcome.REJECTED if 400 <= status < 500 else Outcome.UNKNOWN


def reason_of(status: int, body: bytes) -> str:
    """Return title and detail of a problem document; the status where a proxy answers with a page of its own."""
    try:
        problem: Any = json.loads(body)
        words = [str(problem[name]) for name in ("title", "detail") if problem.get(name)]
    except (ValueError, AttributeError):
        words = []
    return ": ".join(words) or f"HTTP {status}"


@dataclass(slots=True)
class LoadCounts:
    """Counts of one pipeline since its generator was made."""

    offered: int = 0
    """Orders that were meant to be sent by now."""
    sent: int = 0
    """Requests begun."""
    late: int = 0
    """Requests begun more than ``LATE_S`` after they were meant to be, whatever the reason."""
    slipped: int = 0
    """Of these, those that the generator itself was late with: not held up by requests without an answer."""
    outcomes: dict[Outcome, int] = field(default_factory=lambda: dict.fromkeys(Outcome, 0))
    """Requests ended, by what became of them."""
    latency: LatencyHistogram = field(default_factory=LatencyHistogram)
    """From the intended send time, of everything that was answered."""

    @property
    def ended(self) -> int:
        """Requests ended."""
        return sum(self.outcomes.values())

    @property
    def in_flight(self) -> int:
        """Requests begun and not ended."""
        return self.sent - self.ended

    def record_send(self, late_s: float, own_s: float) -> None:
        """Count a request as it is sent, and how late: in all, and by the generator itself, in seconds."""
        self.sent += 1
        self.late += late_s > LATE_S
        self.slipped += own_s > LATE_S

    def record(self, answer: Answer) -> None:
        """Count an answer."""
        self.outcomes[answer.outcome] += 1
        if answer.status is not None:
            self.latency.record(answer.latency_us)

    def as_dict(self) -> dict[str, Any]:
        """Return the counts as JSON has room for them; p50_us and p99_us are None where nothing was answered."""
        measured = self.latency.total > 0
        return {
            "offered": self.offered,
            "sent": self.sent,
            "late": self.late,
            "slipped": self.slipped,
            "in_flight": self.in_flight,
            **{str(outcome): count for outcome, count in self.outcomes.items()},
            "p50_us": self.latency.percentile_us(50) if measured else None,
            "p99_us": self.latency.percentile_us(99) if measured else None,
        }


@dataclass(slots=True)
class Sample:
    """What one client has measured of one pipeline, when its load has ended; those of several clients add up."""

    offered: int = 0
    sent: int = 0
    late: int = 0
    slipped: int = 0
    outcomes: dict[Outcome, int] = field(default_factory=lambda: dict.fromkeys(Outcome, 0))
    """As in ``LoadCounts``."""
    latency: LatencyHistogram = field(default_factory=LatencyHistogram)
    """From the intended send time, of everything that was answered."""
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

    def fill_from(self, counts: LoadCounts) -> Self:
        """Set the numbers that the generator has counted, and return this."""
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
        """Write it as one line: the times in base64."""
        raw = {name: getattr(self, name) for name in ("offered", "sent", "late", "slipped", "outcomes", "reasons")}
        return json.dumps(
            raw
            | {
                "latency": self.latency.as_dict(),
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
        sample.latency = LatencyHistogram.from_dict(raw["latency"])
        sample.intended.frombytes(base64.b64decode(raw["intended"]))
        sample.last_answer_s = -math.inf if raw["last_answer_s"] is None else raw["last_answer_s"]
        return sample


class SampleRecorder:
    """Records the answers of one pipeline as they come: a distinct order that was acknowledged counts once."""

    def __init__(self) -> None:
        self.sample = Sample()
        """What has been recorded so far."""
        self._failed: set[UUID] = set()

    def record(self, answer: Answer) -> None:
        """Record an answer."""
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


class LatestAnswers:
    """Keeps the last few answers, for display, until they are drained; costs the same at any rate."""

    def __init__(self) -> None:
        self._kept: deque[tuple[int, Answer]] = deque(maxlen=_LATEST)

    def note(self, answer: Answer) -> None:
        """Keep an answer as it comes."""
        self._kept.append((now_us(), answer))

    def drain(self) -> list[dict[str, Any]]:
        """Return what came since the last call, oldest first, as JSON has room for it; forget it."""
        drained = [described(answer, at_us) for at_us, answer in self._kept]
        self._kept.clear()
        return drained


def described(answer: Answer, at_us: int) -> dict[str, Any]:
    """Return an answer in words and numbers; ``at_us`` is when it came, microseconds since the epoch."""
    attempt = answer.attempt
    kind = "" if attempt.kind is Kind.NEW else f"{attempt.kind} "
    price = f"$ {attempt.price_cents // 100}.{attempt.price_cents % 100:02d}"
    return {
        "pipeline": str(attempt.pipeline),
        "what": f"{kind}{attempt.drink} at {attempt.store}, {price}",
        "outcome": str(answer.outcome),
        "status": answer.status,
        "reason": answer.reason,
        "message_id": answer.message_id,
        "answered_us": at_us,
        "latency_us": answer.latency_us,
    }
