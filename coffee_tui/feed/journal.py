"""The latest orders that this dashboard has sent, newest first."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from coffee_core.pipelines import Pipeline

_KEPT = 200


@dataclass(frozen=True, slots=True)
class SentOrder:
    """One order and what its answer said."""

    pipeline: Pipeline
    """Where it went."""
    what: str
    """The order in words."""
    outcome: str
    """As ``coffee_core.load.outcome.Outcome``."""
    status: int | None
    """HTTP status, where there was an answer."""
    reason: str
    """Why it was not acknowledged."""
    message_id: str | None
    """Its id, where the API has given one."""
    answered_us: int
    """When the answer came: microseconds since the epoch."""
    latency_us: int
    """How long the answer took, in µs."""

    def matches(self, words: str) -> bool:
        """Tell whether every word is found somewhere in it."""
        text = f"{self.pipeline} {self.what} {self.outcome} {self.status} {self.reason} {self.message_id}".lower()
        return all(word in text for word in words.lower().split())


def sent_order(answer: Mapping[str, Any]) -> SentOrder:
    """Read an answer as the load process and the sender describe it. Raises TypeError, ValueError."""
    return SentOrder(**{**answer, "pipeline": Pipeline(answer["pipeline"])})


class Journal:
    """Remembers the last orders of each pipeline, so that a fast one does not push out a slow one."""

    def __init__(self) -> None:
        self._kept = {pipeline: deque[SentOrder](maxlen=_KEPT) for pipeline in Pipeline}

    def add(self, order: SentOrder) -> None:
        """Note an order that has ended."""
        self._kept[order.pipeline].append(order)

    def latest(self, count: int, words: str = "") -> list[SentOrder]:
        """Return the newest orders that match, newest first."""
        found = [order for kept in self._kept.values() for order in kept if order.matches(words)]
        return sorted(found, key=lambda order: order.answered_us, reverse=True)[:count]
