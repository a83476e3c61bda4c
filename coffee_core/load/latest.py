"""The last few answers of a load, for whoever watches it: the rest are counted only."""

from collections import deque
from typing import Any

from coffee_core.clock import now_us
from coffee_core.load.mix import Kind
from coffee_core.load.outcome import Answer

_KEPT = 6


class LatestAnswers:
    """Keeps the last answers until they are taken; costs the same at any rate."""

    def __init__(self) -> None:
        self._kept: deque[tuple[int, Answer]] = deque(maxlen=_KEPT)

    def note(self, answer: Answer) -> None:
        """Take an answer as it comes."""
        self._kept.append((now_us(), answer))

    def take(self) -> list[dict[str, Any]]:
        """Return what came since the last call, oldest first, as JSON has room for it; forget it."""
        taken = [described(answer, at_us) for at_us, answer in self._kept]
        self._kept.clear()
        return taken


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
