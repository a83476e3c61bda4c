"""Answers that say no: problem details (RFC 9457) with types that stay the same."""

from dataclasses import dataclass
from typing import Any

import msgspec

from coffee_core.errors import CoffeeError

# Every kind of problem: name, status, title, and what a client may conclude. These names never change.


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of problem: clients tell kinds apart by ``type``."""

    name: str
    """Last segment of its type."""
    status: int
    """HTTP status."""
    title: str
    """The same sentence for every problem of this kind."""
    meaning: str
    """What a client may conclude and should do; /problems/{name} says it."""

    @property
    def type(self) -> str:
        """The relative URI reference that names this kind."""
        return f"/problems/{self.name}"


MALFORMED = Kind(
    "malformed-json",
    400,
    "The body is not JSON",
    "The text cannot be read as JSON in UTF-8. The order is nowhere.",
)
NOT_HTTP = Kind(
    "malformed-request",
    400,
    "The request is not HTTP as it should be",
    "It cannot be told with certainty where it ends, or for whom it is. The connection is closed, the order is "
    "nowhere.",
)
UNAUTHORIZED = Kind(
    "unauthorized",
    401,
    "A bearer token is needed",
    "COFFEE_API_TOKEN is set: send it as 'Authorization: Bearer …'. The order is nowhere.",
)
NOT_FOUND = Kind(
    "not-found", 404, "Nothing is here", "No such path, or an order of which nothing is known (yet, or any more)."
)
NOT_RUNNING = Kind(
    "pipeline-not-running",
    404,
    "This pipeline is not running here",
    "COFFEE_PIPELINES names the pipelines that run. The order is nowhere.",
)
NO_WINDOWS = Kind(
    "no-windows",
    404,
    "This pipeline keeps no windows",
    "v2 adds to its totals entry by entry and knows no event time; docs/windows.md says what it would take. "
    "v1 and v3 have windows.",
)
BAD_METHOD = Kind(
    "method-not-allowed", 405, "This method is not allowed here", "The Allow header names those that are."
)
TOO_SLOW = Kind(
    "request-timeout",
    408,
    "The body did not come in time",
    "The rest of the body was not waited for, and the connection is closed. The order is nowhere.",
)
IN_FLIGHT = Kind(
    "key-in-flight",
    409,
    "An order with this key is being taken",
    "Its answer is not known yet. Ask again after Retry-After seconds: the repeat then gets the first answer.",
)
TOO_LARGE = Kind(
    "body-too-large",
    413,
    "The body is too large",
    "An order has at most 64 KiB, a batch at most 1 MiB and 1,000 orders. The order is nowhere.",
)
NOT_JSON = Kind(
    "unsupported-media-type",
    415,
    "The content type is not supported",
    "An order is application/json, a batch also application/x-ndjson; both may be CloudEvents. Nothing was taken.",
)
MISDIRECTED = Kind(
    "misdirected-request",
    421,
    "The request is for another server",
    "Its Host is none of this API's names. On the loopback, without COFFEE_API_TOKEN, that is localhost or "
    "127.0.0.1. The order is nowhere.",
)
INVALID = Kind(
    "invalid-field",
    422,
    "A field has a value that cannot be accepted",
    "'field' names it and, in a batch, 'index' the order (from 0). Nothing of the request was taken.",
)
CONFLICT = Kind(
    "key-conflict",
    422,
    "The Idempotency-Key was used for another order",
    "A new order needs a new key. The order of this request is nowhere; the first one stays.",
)
TOO_MANY = Kind(
    "too-many-requests",
    429,
    "This client has its share of the requests in flight",
    "Others are served meanwhile. The order is nowhere; try again after Retry-After seconds.",
)
LONG_HEADERS = Kind(
    "headers-too-large",
    431,
    "The headers are too many or too long",
    "A request has at most 100 of them, and 32 KiB. The connection is closed, the order is nowhere.",
)
INTERNAL = Kind(
    "internal-error", 500, "The API made a mistake", "The log of the API says more, by the request id."
)
UNAVAILABLE = Kind(
    "unavailable",
    503,
    "A system that this needs is down",
    "The order was not taken and is nowhere; try again after Retry-After seconds.",
)
OVERLOADED = Kind(
    "overloaded",
    503,
    "The API has all the requests in flight that it takes",
    "The order was not taken and is nowhere; try again after Retry-After seconds.",
)
UNKNOWN = Kind(
    "outcome-unknown",
    504,
    "Nobody can tell yet whether the order was taken",
    "It may be stored or not. Repeat it with the 'message_id' of the answer as its Idempotency-Key (a batch: each "
    "order with its own of 'message_ids'): it is counted once.",
)

KINDS = (
    MALFORMED,
    NOT_HTTP,
    UNAUTHORIZED,
    NOT_FOUND,
    NOT_RUNNING,
    NO_WINDOWS,
    BAD_METHOD,
    TOO_SLOW,
    IN_FLIGHT,
    TOO_LARGE,
    NOT_JSON,
    MISDIRECTED,
    INVALID,
    CONFLICT,
    TOO_MANY,
    LONG_HEADERS,
    INTERNAL,
    UNAVAILABLE,
    OVERLOADED,
    UNKNOWN,
)
"""Every kind there is, by status."""

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
