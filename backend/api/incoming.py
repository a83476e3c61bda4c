"""From an ASGI request to an order: headers, body, content."""

import asyncio
from uuid import UUID

from starlette.types import Receive, Scope

from backend.api import body, cloud_events
from backend.api.kinds import INVALID, NOT_JSON, TOO_LARGE, TOO_SLOW
from backend.api.problems import ProblemError
from coffee_core.clock import now_us
from coffee_core.errors import CoffeeError, OrderError
from coffee_core.ids import new_message_id, parse_idempotency_key
from coffee_core.order import Order

MAX_BODY_BYTES = 64 * 1024
"""Longest body of an order."""

JSON = b"application/json"
_TYPES = (JSON, cloud_events.STRUCTURED)
BODY_TIMEOUT_S = 5.0
"""Seconds that a body may take from its headers to its end."""
ARRIVING = "coffee.arriving"
"""Key in the scope of a weak reference to what tells by ``more_body`` whether more of the body is to come."""


class ClientGoneError(CoffeeError):
    """The client closed the connection before its request was complete."""


async def read_order(scope: Scope, receive: Receive) -> tuple[Order, bool]:
    """Return the order and whether the client gave it a key.

    Raises ProblemError, or ClientGoneError where nobody waits for the answer any more.
    """
    content_type, key = check_headers(scope["headers"], _TYPES, MAX_BODY_BYTES)
    raw = await read_body(scope, receive, MAX_BODY_BYTES)
    if content_type != JSON:
        raw, event_id = cloud_events.unwrap(raw)
        key = _same(event_id, key)
    content = body.parse(raw)
    return Order(key or new_message_id(), *content, now_us()), key is not None


def check_headers(
    headers: list[tuple[bytes, bytes]], media_types: tuple[bytes, ...], max_bytes: int
) -> tuple[bytes, UUID | None]:
    """Return which of the media types the body has, and the Idempotency-Key; raises ProblemError."""
    content_type = b""
    key, is_event = None, False
    for name, value in headers:
        if name == b"content-type":
            content_type = value
        elif name == b"content-length":
            if value.isdigit() and int(value) > max_bytes:
                raise _too_large(max_bytes)
        elif name == b"idempotency-key":
            key = _key(value, key)
        elif name == b"ce-specversion":
            is_event = True
        elif name == b"content-encoding" and value.lower() not in (b"", b"identity"):
            raise ProblemError(NOT_JSON, "Content-Encoding: nothing is unpacked here; send the body as it is")
    if content_type not in media_types:
        content_type = _media_type(content_type, media_types)
    if is_event and content_type == JSON:
        key = _same(cloud_events.message_id_of(headers), key)
    return content_type, key


def _media_type(content_type: bytes, media_types: tuple[bytes, ...]) -> bytes:
    # It is case-insensitive and may carry parameters, such as charset.
    content_type = content_type.partition(b";")[0].strip().lower()
    if content_type not in media_types:
        shown = content_type[:80].decode("latin-1") or "none"
        wanted = b" or ".join(media_types).decode()
        raise ProblemError(NOT_JSON, f"The content type must be {wanted}, not {shown}")
    return content_type


def _same(event_id: UUID, key: UUID | None) -> UUID:
    if key not in (None, event_id):
        raise ProblemError(INVALID, "Idempotency-Key: is not the event's id; give one", field="Idempotency-Key")
    return event_id


def _key(value: bytes, earlier: UUID | None) -> UUID:
    try:
        key = parse_idempotency_key(value.decode("latin-1"))
    except OrderError as error:
        raise ProblemError(INVALID, str(error), field=error.field) from error
    if earlier not in (None, key):
        raise ProblemError(INVALID, "Idempotency-Key: is given twice", field="Idempotency-Key")
    return key


async def read_body(scope: Scope, receive: Receive, max_bytes: int) -> bytes:
    """Return the whole body; raises ProblemError where it is too long or too slow, or ClientGoneError."""
    arriving = scope.get(ARRIVING)
    if arriving is not None and not arriving().more_body:  # what came with its headers needs no timer
        return await _read(receive, max_bytes)
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            return await _read(receive, max_bytes)
    except TimeoutError as error:
        raise ProblemError(TOO_SLOW, f"The body was not there after {BODY_TIMEOUT_S:g} s") from error


async def _read(receive: Receive, max_bytes: int) -> bytes:
    parts = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        parts += message.get("body", b"")
        if len(parts) > max_bytes:
            raise _too_large(max_bytes)
        if not message.get("more_body", False):
            return bytes(parts)


def _too_large(max_bytes: int) -> ProblemError:
    return ProblemError(TOO_LARGE, f"The body has at most {max_bytes} bytes")
