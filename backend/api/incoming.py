"""From an ASGI request to an order: headers, body, content."""

from uuid import UUID

from starlette.types import Receive, Scope

from backend.api import body
from backend.api.kinds import INVALID, NOT_JSON, TOO_LARGE
from backend.api.problems import ProblemError
from coffee_core.clock import now_us
from coffee_core.errors import CoffeeError, OrderError
from coffee_core.ids import new_message_id, parse_idempotency_key
from coffee_core.order import Order

MAX_BODY_BYTES = 64 * 1024
"""Longest body of an order."""


class ClientGoneError(CoffeeError):
    """The client closed the connection before its request was complete."""


async def read_order(scope: Scope, receive: Receive) -> tuple[Order, bool]:
    """Return the order and whether the client gave it a key.

    Raises ProblemError, or ClientGoneError where nobody waits for the answer any more.
    """
    key = _check_headers(scope["headers"])
    content = body.parse(await _read_body(receive))
    return Order(key or new_message_id(), *content, now_us()), key is not None


def _check_headers(headers: list[tuple[bytes, bytes]]) -> UUID | None:
    content_type = b""
    key = None
    for name, value in headers:
        if name == b"content-type":
            content_type = value
        elif name == b"content-length":
            _check_length(value)
        elif name == b"idempotency-key":
            key = _key(value, key)
    # A media type is case-insensitive and may carry parameters, such as charset.
    if content_type != b"application/json":
        essence = content_type.partition(b";")[0].strip().lower()
        if essence != b"application/json":
            shown = essence[:80].decode("latin-1") or "none"
            raise ProblemError(NOT_JSON, f"The content type must be application/json, not {shown}")
    return key


def _check_length(value: bytes) -> None:
    if value.isdigit() and int(value) > MAX_BODY_BYTES:
        raise _too_large()


def _key(value: bytes, earlier: UUID | None) -> UUID:
    try:
        key = parse_idempotency_key(value.decode("latin-1"))
    except OrderError as error:
        raise ProblemError(INVALID, str(error), field=error.field) from error
    if earlier not in (None, key):
        raise ProblemError(INVALID, "Idempotency-Key: is given twice", field="Idempotency-Key")
    return key


async def _read_body(receive: Receive) -> bytes:
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body", False):
        whole: bytes = message.get("body", b"")
        if len(whole) > MAX_BODY_BYTES:
            raise _too_large()
        return whole
    parts = bytearray()
    while True:
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        parts += message.get("body", b"")
        if len(parts) > MAX_BODY_BYTES:
            raise _too_large()
        if not message.get("more_body", False):
            return bytes(parts)
        message = await receive()


def _too_large() -> ProblemError:
    return ProblemError(TOO_LARGE, f"An order has at most {MAX_BODY_BYTES} bytes")
