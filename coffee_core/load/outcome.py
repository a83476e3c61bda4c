"""What became of an attempt: acknowledged ⊆ stored ⊆ attempted."""

from dataclasses import dataclass
from enum import StrEnum

from coffee_core.load.mix import Attempt


class Outcome(StrEnum):
    """What is known of an order once its request has ended."""

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
    """The id under which the API has taken it; None where it did not say."""
    reason: str
    """Title and detail of the problem, or the error; empty where acknowledged."""
    latency_us: int
    """From the intended send time to the end of the answer, in µs."""
    intended_s: float = 0.0
    """When it was meant to be sent, monotonic seconds."""


def outcome_of(status: int) -> Outcome:
    """Return what an HTTP status says of an order."""
    if 200 <= status < 300:
        return Outcome.ACKNOWLEDGED
    if status in (409, 429, 503):
        return Outcome.REFUSED
    # A 5xx of any other kind (500, a proxy's 502, the API's own 504) leaves open what was done before it.
    return Outcome.REJECTED if 400 <= status < 500 else Outcome.UNKNOWN
