"""Answers that say no: problem details (RFC 9457) with types that stay the same."""

from dataclasses import dataclass
from typing import Any

import msgspec

from coffee_core.errors import CoffeeError

CONTENT_TYPE = b"application/problem+json"

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of problem: clients tell kinds apart by ``type``."""

    name: str
    """Last segment of its type."""
    status: int
    """HTTP status."""
    title: str
    """The same sentence for every problem of this kind."""

    @property
    def type(self) -> str:
        """The relative URI reference that names this kind."""
        return f"/problems/{self.name}"


MALFORMED = Kind("malformed-json", 400, "The body is not JSON")
NOT_FOUND = Kind("not-found", 404, "Nothing is here")
NOT_RUNNING = Kind("pipeline-not-running", 404, "This pipeline is not running here")
BAD_METHOD = Kind("method-not-allowed", 405, "This method is not allowed here")
TOO_LARGE = Kind("body-too-large", 413, "The body is too large")
NOT_JSON = Kind("unsupported-media-type", 415, "The content type is not application/json")
INVALID = Kind("invalid-field", 422, "A field has a value that cannot be accepted")
CONFLICT = Kind("key-conflict", 422, "The Idempotency-Key was used for another order")
INTERNAL = Kind("internal-error", 500, "The API made a mistake")
UNAVAILABLE = Kind("unavailable", 503, "The order was not taken: a system it needs is down")
UNKNOWN = Kind("outcome-unknown", 504, "Nobody can tell yet whether the order was taken")

RETRY_AFTER_S = 1
"""Seconds after which a refused client may try again."""


class ProblemError(CoffeeError):
    """A request that is answered with a problem."""

    def __init__(
        self, kind: Kind, detail: str, *, field: str | None = None, message_id: str | None = None
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        """What kind of problem."""
        self.detail = detail
        """What is wrong here, and what to do, in words for the client."""
        self.field = field
        """The field to blame, where one is."""
        self.message_id = message_id
        """The Idempotency-Key to retry with, where the outcome is unknown."""


def headers(kind: Kind) -> list[tuple[bytes, bytes]]:
    """Return the headers of an answer of this kind, without its length."""
    retry = [(b"retry-after", b"%d" % RETRY_AFTER_S)] if kind.status in (503, 504) else []
    return [(b"content-type", CONTENT_TYPE), *retry]


def body(problem: ProblemError, request_id: str) -> bytes:
    """Return the JSON of a problem."""
    kind = problem.kind
    members: dict[str, Any] = {
        "type": kind.type,
        "title": kind.title,
        "status": kind.status,
        "detail": problem.detail,
        "request_id": request_id,
    }
    if problem.field is not None:
        members["field"] = problem.field
    if problem.message_id is not None:
        members["message_id"] = problem.message_id
    return _encode(members)
