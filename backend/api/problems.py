"""Answers that say no: problem details (RFC 9457) with types that stay the same."""

from typing import Any

import msgspec

from backend.api.kinds import TOO_LARGE, TOO_SLOW, UNAUTHORIZED, Kind
from coffee_core.errors import CoffeeError

CONTENT_TYPE = b"application/problem+json"

_encode = msgspec.json.Encoder().encode


RETRY_AFTER_S = 1
"""Seconds after which a refused client may try again."""
_RETRY = (409, 429, 503, 504)


class ProblemError(CoffeeError):
    """A request that is answered with a problem."""

    def __init__(
        self,
        kind: Kind,
        detail: str,
        *,
        field: str | None = None,
        index: int | None = None,
        message_id: str | None = None,
        message_ids: list[str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        """What kind of problem."""
        self.detail = detail
        """What is wrong here, and what to do, in words for the client."""
        self.field = field
        """The field to blame, where one is."""
        self.index = index
        """Which order of a batch is to blame, from 0."""
        self.message_id = message_id
        """The Idempotency-Key to retry with, where the outcome is unknown."""
        self.message_ids = message_ids
        """The same of a batch: one of each order, in the order of the request."""


def headers(kind: Kind) -> list[tuple[bytes, bytes]]:
    """Return the headers of an answer of this kind, without its length."""
    found = [(b"content-type", CONTENT_TYPE)]
    if kind.status in _RETRY:
        found.append((b"retry-after", b"%d" % RETRY_AFTER_S))
    if kind is UNAUTHORIZED:
        found.append((b"www-authenticate", b"Bearer"))
    if kind is TOO_SLOW or kind is TOO_LARGE:  # what is left of the body is not read
        found.append((b"connection", b"close"))
    return found


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
    for name in ("field", "index", "message_id", "message_ids"):
        if (value := getattr(problem, name)) is not None:
            members[name] = value
    return _encode(members)
