"""Answers, above all those that refuse: problem details (RFC 9457) with types that stay the same."""

from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.types import Scope, Send

from coffee_core.errors import CoffeeError

RETRY_AFTER_S = 1
"""Seconds after which a refused client may try again."""
_RETRY = (409, 429, 503, 504)
CONTENT_TYPE = b"application/problem+json"


@dataclass(frozen=True, slots=True)
class ProblemType:
    """A type of problem: name, status, title and what a client may conclude. These names never change."""

    name: str
    """Last segment of its type."""
    status: int
    """HTTP status."""
    title: str
    """The same sentence for every problem of this type."""
    meaning: str
    """What a client may conclude and should do; served by /problems/{name}."""

    @property
    def uri(self) -> str:
        """The relative URI reference that identifies the problem: ``type`` in the answer."""
        return f"/problems/{self.name}"


MALFORMED = ProblemType(
    "malformed-json",
    400,
    "The body is not JSON",
    "The text cannot be read as JSON in UTF-8. The order is nowhere.",
)
NOT_HTTP = ProblemType(
    "malformed-request",
    400,
    "The request is not HTTP as it should be",
    "It cannot be told with certainty where it ends, or for whom it is. The connection is closed, the order is "
    "nowhere.",
)
UNAUTHORIZED = ProblemType(
    "unauthorized",
    401,
    "A bearer token is needed",
    "COFFEE_API_TOKEN is set: send it as 'Authorization: Bearer …'. The order is nowhere.",
)
NOT_FOUND = ProblemType(
    "not-found", 404, "Nothing is here", "No such path, or an order of which nothing is known (yet, or any more)."
)
NOT_RUNNING = ProblemType(
    "pipeline-not-running",
    404,
    "This pipeline is not running here",
    "COFFEE_PIPELINES names the pipelines that run. The order is nowhere.",
)
NO_WINDOWS = ProblemType(
    "no-windows",
    404,
    "This pipeline keeps no windows",
    "v2 adds to its totals entry by entry and knows no event time; docs/windows.md says what it would take. "
    "v1 and v3 have windows.",
)
BAD_METHOD = ProblemType(
    "method-not-allowed", 405, "This method is not allowed here", "The Allow header names those that are."
)
TOO_SLOW = ProblemType(
    "request-timeout",
    408,
    "The body did not come in time",
    "The rest of the body was not waited for, and the connection is closed. The order is nowhere.",
)
IN_FLIGHT = ProblemType(
    "key-in-flight",
    409,
    "An order with this key is being taken",
    "Its answer is not known yet. Ask again after Retry-After seconds: the repeat then gets the first answer.",
)
TOO_LARGE = ProblemType(
    "body-too-large",
    413,
    "The body is too large",
    "An order has at most 64 KiB, a batch at most 1 MiB and 1,000 orders. The order is nowhere.",
)
NOT_JSON = ProblemType(
    "unsupported-media-type",
    415,
    "The content type is not supported",
    "An order is application/json, a batch also application/x-ndjson; both may be CloudEvents. Nothing was taken.",
)
MISDIRECTED = ProblemType(
    "misdirected-request",
    421,
    "The request is for another server",
    "Its Host is none of this API's names. On the loopback, without COFFEE_API_TOKEN, that is localhost or "
    "127.0.0.1. The order is nowhere.",
)
INVALID = ProblemType(
    "invalid-field",
    422,
    "A field has a value that cannot be accepted",
    "'field' names it and, in a batch, 'index' the order (from 0). Nothing of the request was taken.",
)
CONFLICT = ProblemType(
    "key-conflict",
    422,
    "The Idempotency-Key was used for another order",
    "A new order needs a new key. The order of this request is nowhere; the first one stays.",
)
TOO_MANY = ProblemType(
    "too-many-requests",
    429,
    "This client has its share of the requests in flight",
    "Others are served meanwhile. The order is nowhere; try again after Retry-After seconds.",
)
LONG_HEADERS = ProblemType(
    "headers-too-large",
    431,
    "The headers are too many or too long",
    "A request has at most 100 of them, and 32 KiB. The connection is closed, the order is nowhere.",
)
INTERNAL = ProblemType(
    "internal-error", 500, "The API made a mistake", "The log of the API says more, by the request id."
)
UNAVAILABLE = ProblemType(
    "unavailable",
    503,
    "A system that this needs is down",
    "The order was not taken and is nowhere; try again after Retry-After seconds.",
)
OVERLOADED = ProblemType(
    "overloaded",
    503,
    "The API has all the requests in flight that it takes",
    "The order was not taken and is nowhere; try again after Retry-After seconds.",
)
UNKNOWN = ProblemType(
    "outcome-unknown",
    504,
    "Nobody can tell yet whether the order was taken",
    "It may be stored or not. Repeat it with the 'message_id' of the answer as its Idempotency-Key (a batch: each "
    "order with its own of 'message_ids'): it is counted once.",
)

PROBLEM_TYPES = (
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
"""All of them, by status."""


class ProblemError(CoffeeError):
    """A request that is answered with a problem."""

    def __init__(
        self,
        problem_type: ProblemType,
        detail: str,
        *,
        field: str | None = None,
        index: int | None = None,
        message_id: str | None = None,
        message_ids: list[str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.type = problem_type
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


Headers = list[tuple[bytes, bytes]]
Answer = tuple[int, Headers, bytes]
"""Status, headers without the body's length, and body."""
_encode = msgspec.json.Encoder().encode


def problem_headers(problem_type: ProblemType) -> Headers:
    """Return the headers of an answer of this type, without its length."""
    headers = [(b"content-type", CONTENT_TYPE)]
    if problem_type.status in _RETRY:
        headers.append((b"retry-after", b"%d" % RETRY_AFTER_S))
    if problem_type is UNAUTHORIZED:
        headers.append((b"www-authenticate", b"Bearer"))
    if problem_type is TOO_SLOW or problem_type is TOO_LARGE:  # what is left of the body is not read
        headers.append((b"connection", b"close"))
    return headers


def problem_body(problem: ProblemError, request_id: str) -> bytes:
    """Return the JSON of a problem."""
    members: dict[str, Any] = {
        "type": problem.type.uri,
        "title": problem.type.title,
        "status": problem.type.status,
        "detail": problem.detail,
        "request_id": request_id,
    }
    for name in ("field", "index", "message_id", "message_ids"):
        if (value := getattr(problem, name)) is not None:
            members[name] = value
    return _encode(members)


def problem_answer(problem: ProblemError, request_id: bytes) -> Answer:
    """Return the answer to a request with this id."""
    return problem.type.status, problem_headers(problem.type), problem_body(problem, request_id.decode("ascii"))


REQUEST_ID = "coffee.request_id"
"""Key in the scope of the request's id, as text."""


async def answer(send: Send, status: int, headers: Headers, body: bytes) -> None:
    """Send a whole answer; ``headers`` without its length."""
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [*headers, (b"content-length", b"%d" % len(body))],
        }
    )
    await send({"type": "http.response.body", "body": body})


async def answer_problem(scope: Scope, send: Send, problem: ProblemError) -> None:
    """Answer a request with a problem."""
    body = problem_body(problem, scope[REQUEST_ID])
    await answer(send, problem.type.status, problem_headers(problem.type), body)
