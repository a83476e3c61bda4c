"""From an ASGI request to its orders: headers, body, JSON, CloudEvents, batches.

``coffee_core.order`` defines a valid order; here its JSON is read exactly, and an error becomes a problem that
names the field.
"""

import asyncio
import re
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context
from typing import Any, TypeVar
from urllib.parse import unquote
from uuid import UUID, uuid5

import msgspec
from starlette.types import Receive, Scope

from backend.api.problems import CONFLICT, INVALID, MALFORMED, NOT_JSON, TOO_LARGE, TOO_SLOW, ProblemError
from coffee_core.clock import now_us
from coffee_core.errors import CoffeeError, OrderError
from coffee_core.ids import new_message_id
from coffee_core.menu import DRINKS, MAX_PRICE_CENTS, STORES
from coffee_core.order import FIELDS, Content, Order, parse_idempotency_key, parse_timestamp_us, parse_uuid

JSON = b"application/json"
NDJSON = b"application/x-ndjson"
CLOUD_EVENT = b"application/cloudevents+json"
"""Media type of one event as the body."""
CLOUD_EVENTS = b"application/cloudevents-batch+json"
_ORDER_TYPES = (JSON, CLOUD_EVENT)
_BATCH_TYPES = (JSON, NDJSON, CLOUD_EVENTS)

MAX_BODY_BYTES = 64 * 1024
"""Longest body of an order."""
MAX_ORDERS = 1_000
"""Most orders of one batch."""
MAX_BATCH_BYTES = 1024 * 1024
"""Longest body of a batch: a kilobyte an order, which is five times what one needs."""
BODY_TIMEOUT_S = 5.0
"""Seconds that a body may take from its headers to its end."""
CYCLE = "coffee.cycle"
"""Key in the scope of a weak reference to uvicorn's cycle; its ``more_body`` is True until the body ends."""
_NO_TIMER: nullcontext[None] = nullcontext()
_T = TypeVar("_T")


class ClientGoneError(CoffeeError):
    """The client closed the connection before its request was complete."""


async def read_order_body(scope: Scope, receive: Receive) -> bytes:
    """Return the body of an order, unread where its headers say that it will be refused.

    Raises ProblemError, or ClientGoneError where the client has closed the connection.
    """
    check_headers(scope["headers"], _ORDER_TYPES, MAX_BODY_BYTES)
    return await read_body(scope, receive, MAX_BODY_BYTES)


def read_order(headers: list[tuple[bytes, bytes]], raw: bytes) -> tuple[Order, bool]:
    """Return the order and whether the client gave it a key; raises ProblemError."""
    content_type, key = check_headers(headers, _ORDER_TYPES, MAX_BODY_BYTES)
    if len(raw) > MAX_BODY_BYTES:
        raise _too_large(MAX_BODY_BYTES)
    if content_type != JSON:
        raw, event_id = _unwrap_event(raw)
        key = _one_key(event_id, key)
    return Order(key or new_message_id(), *parse(raw), now_us()), key is not None


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
            key = _header_key(value, key)
        elif name == b"ce-specversion":
            is_event = True
        elif name == b"content-encoding" and value.lower() not in (b"", b"identity"):
            raise ProblemError(NOT_JSON, "Content-Encoding: nothing is unpacked here; send the body as it is")
    if content_type not in media_types:
        content_type = _media_type(content_type, media_types)
    if is_event and content_type == JSON:
        key = _one_key(_binary_event_id(headers), key)
    return content_type, key


def _media_type(content_type: bytes, media_types: tuple[bytes, ...]) -> bytes:
    # It is case-insensitive and may carry parameters, such as charset.
    content_type = content_type.partition(b";")[0].strip().lower()
    if content_type not in media_types:
        shown = content_type[:80].decode("latin-1") or "none"
        wanted = b" or ".join(media_types).decode()
        raise ProblemError(NOT_JSON, f"The content type must be {wanted}, not {shown}")
    return content_type


def _header_key(value: bytes, earlier: UUID | None) -> UUID:
    try:
        key = parse_idempotency_key(value.decode("latin-1"))
    except OrderError as error:
        raise ProblemError(INVALID, str(error), field=error.field) from error
    if earlier not in (None, key):
        raise ProblemError(INVALID, "Idempotency-Key: is given twice", field="Idempotency-Key")
    return key


def _one_key(event_id: UUID, key: UUID | None) -> UUID:
    if key not in (None, event_id):
        raise ProblemError(INVALID, "Idempotency-Key: is not the event's id; give one", field="Idempotency-Key")
    return event_id


async def read_body(scope: Scope, receive: Receive, max_bytes: int) -> bytes:
    """Return the whole body; raises ProblemError where it is too long or too slow, or ClientGoneError."""
    cycle = scope.get(CYCLE)
    # A body that came with its headers needs no timer.
    is_here = cycle is not None and not cycle().more_body
    parts = bytearray()
    try:
        async with _NO_TIMER if is_here else asyncio.timeout(BODY_TIMEOUT_S):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGoneError
                parts += message.get("body", b"")
                if len(parts) > max_bytes:
                    raise _too_large(max_bytes)
                if not message.get("more_body", False):
                    return bytes(parts)
    except TimeoutError as error:
        raise ProblemError(TOO_SLOW, f"The body was not there after {BODY_TIMEOUT_S:g} s") from error


def _too_large(max_bytes: int) -> ProblemError:
    return ProblemError(TOO_LARGE, f"The body has at most {max_bytes} bytes")


# JSON numbers do not go through a float; an absurd exponent becomes NaN, infinity or 0, which no check accepts.
_EXACT = Context(prec=MAX_PREC, Emin=MIN_EMIN, Emax=MAX_EMAX, traps=[])
_decode = msgspec.json.Decoder(float_hook=_EXACT.create_decimal).decode
_QUOTES = 2 * (len(FIELDS) + 3)
"""Quotation marks of an order: around every name and three of the values."""
_QUOTES_OF_KEY = 4


class _PlainOrder(msgspec.Struct, forbid_unknown_fields=True):
    drink: str
    store: str
    price: msgspec.Raw
    timestamp: str


_decode_plain = msgspec.json.Decoder(_PlainOrder).decode
_PLAIN_PRICE = re.compile(rb"([0-9]{1,5})(?:\.([0-9]{1,2}))?")


def parse(raw: bytes) -> Content:
    """Read the JSON text of an order.

    Raises ProblemError: malformed-json, or invalid-field with the name of the field.
    """
    # Nearly all orders are plain; the exact reading takes longer, and knows what is wrong with the others.
    try:
        plain = _decode_plain(raw)
        price = _PLAIN_PRICE.fullmatch(plain.price)
        if (
            price is not None
            and plain.drink in DRINKS
            and plain.store in STORES
            and 0 < (cents := int(price[1]) * 100 + int((price[2] or b"").ljust(2, b"0"))) <= MAX_PRICE_CENTS
            and raw.count(b'"') == _QUOTES
        ):
            return Content(plain.drink, plain.store, cents, parse_timestamp_us(plain.timestamp))
    except (ValueError, RecursionError, OrderError):
        pass
    return _parse(raw, may_have_key=False)[0]


def parse_item(raw: bytes) -> tuple[Content, UUID | None]:
    """Read the JSON text of an order of a batch, which may carry its own key; raises as ``parse`` does."""
    return _parse(raw, may_have_key=True)


def _parse(raw: bytes, *, may_have_key: bool) -> tuple[Content, UUID | None]:
    fields = _decode_json(_decode, raw, _price_out_of_range)
    if not isinstance(fields, dict):
        raise ProblemError(INVALID, f"An order must be a JSON object with {', '.join(FIELDS)}")
    key = _pop_key(fields) if may_have_key else None
    try:
        content = Content.parse(fields)
    except OrderError as error:
        raise ProblemError(INVALID, str(error), field=error.field) from error
    # No name or valid value contains a quotation mark, so a valid order has exactly _QUOTES of them: more means
    # that a name occurs twice.
    if raw.count(b'"') != _QUOTES + (0 if key is None else _QUOTES_OF_KEY):
        raise ProblemError(INVALID, "A field is given twice")
    return content, key


def _price_out_of_range(error: msgspec.ValidationError) -> ProblemError:
    # The only thing that untyped decoding calls invalid is an integer of absurd length.
    return _invalid("price", f"is out of range ({error})")


def _decode_json(
    decode: Callable[[bytes], _T], raw: bytes, invalid: Callable[[msgspec.ValidationError], ProblemError]
) -> _T:
    """Return the decoded text. Raises malformed-json, or what ``invalid`` makes of JSON of another type."""
    try:
        return decode(raw)
    except msgspec.ValidationError as error:
        raise invalid(error) from error
    except (ValueError, RecursionError) as error:
        raise ProblemError(MALFORMED, str(error)) from error


KEY_FIELDS = ("message_id", "idempotency_key")
"""Both names of the key that an order of a batch may have beside its own fields."""


def _pop_key(fields: dict[str, Any]) -> UUID | None:
    given = [name for name in KEY_FIELDS if name in fields]
    if not given:
        return None
    name = given[0]
    if len(given) > 1:
        raise _invalid(given[1], f"is {name} by another name; give one")
    text = fields.pop(name)
    if not isinstance(text, str):
        raise _invalid(name, "must be a string")
    try:
        return parse_idempotency_key(text)
    except OrderError as error:
        raise _invalid(name, error.reason) from error


def _invalid(name: str, reason: str) -> ProblemError:
    return ProblemError(INVALID, f"{name}: {reason}", field=name)


# CloudEvents 1.0 over HTTP: structured (the event is the body) or binary (its attributes are headers). The event's
# id becomes the message id: as it is where it is a UUID, else as the UUIDv5 of source and id, which together name
# an event once and for all.

NAMESPACE = UUID("a3b9a0c4-52f5-5b51-9d0e-6f1f7c4f2f0e")
"""Namespace of the UUIDv5 of events whose id is no UUID; never to be changed."""
_HEADER_PREFIX = b"ce-"
_SOURCE = re.compile(r"[^\x00-\x20\x7F]+")
_REQUIRED = ("specversion", "id", "source", "type")


class _Event(msgspec.Struct):
    specversion: str = ""
    id: str = ""
    source: str = ""
    type: str = ""
    datacontenttype: str = "application/json"
    data: msgspec.Raw = msgspec.Raw()


_decode_event = msgspec.json.Decoder(_Event).decode


def _unwrap_event(raw: bytes) -> tuple[bytes, UUID]:
    """Return the order in a structured event, as JSON text, and its message id; raises ProblemError."""
    event = _decode_json(
        _decode_event, raw, lambda error: ProblemError(INVALID, f"The event has a wrong type ({error})")
    )
    message_id = _event_id({name: getattr(event, name) for name in _REQUIRED})
    if event.datacontenttype.partition(";")[0].strip().lower() != "application/json":
        raise _invalid("datacontenttype", "must be application/json")
    data = bytes(event.data)
    if not data:
        raise _invalid("data", "is missing; an order is JSON, so it is not in data_base64")
    return data, message_id


def _binary_event_id(headers: list[tuple[bytes, bytes]]) -> UUID:
    attributes: dict[str, str] = {}
    for header, value in headers:
        if not header.startswith(_HEADER_PREFIX):
            continue
        name = header.removeprefix(_HEADER_PREFIX).decode("latin-1")
        if name in attributes and name in _REQUIRED:
            raise _invalid(name, "is given twice")
        try:
            attributes[name] = unquote(value.decode("ascii"), errors="strict")
        except UnicodeDecodeError as error:
            if name in _REQUIRED:  # replaced, what is no UTF-8 would make one id of two
                raise _invalid(name, "must be ASCII, everything else percent-encoded UTF-8") from error
    return _event_id(attributes)


def _event_id(attributes: dict[str, str]) -> UUID:
    for name in _REQUIRED:
        if not attributes.get(name):
            raise _invalid(name, "is missing; a CloudEvent has specversion, id, source and type")
    if attributes["specversion"] != "1.0":
        raise _invalid("specversion", "must be 1.0")
    if not _SOURCE.fullmatch(attributes["source"]):
        raise _invalid("source", "must be a URI reference: it has no blank and no control character")
    # No URI has a space in it: two pairs of source and id never make the same name.
    return parse_uuid(attributes["id"]) or uuid5(NAMESPACE, f"{attributes['source']} {attributes['id']}")


# Batches: a JSON array of orders or of events, or one JSON object a line.

_split_array = msgspec.json.Decoder(list[msgspec.Raw]).decode


@dataclass(slots=True)
class Batch:
    """The orders of one request."""

    distinct: list[Order] = field(default_factory=list)
    """Each message id once, as it came first."""
    message_ids: list[UUID] = field(default_factory=list)
    """The message id of every order, in the order of the request."""
    keyed: set[UUID] = field(default_factory=set)
    """Message ids that the client has given, and may repeat."""


async def read_batch(scope: Scope, receive: Receive) -> Batch:
    """Return the orders; raises ProblemError, or ClientGoneError where the client has closed the connection."""
    content_type, key = check_headers(scope["headers"], _BATCH_TYPES, MAX_BATCH_BYTES)
    if key is not None:
        detail = "Idempotency-Key: a batch has none; give each order its own message_id"
        raise ProblemError(INVALID, detail, field="Idempotency-Key")
    raw = await read_body(scope, receive, MAX_BATCH_BYTES)
    items = _lines(raw) if content_type == NDJSON else _array(raw)
    if not items:
        raise ProblemError(INVALID, "A batch has at least one order")
    if len(items) > MAX_ORDERS:
        raise ProblemError(TOO_LARGE, f"A batch has at most {MAX_ORDERS} orders, not {len(items)}")
    return _orders(items, _parse_event if content_type == CLOUD_EVENTS else parse_item)


def _lines(raw: bytes) -> list[bytes]:
    return [line for line in raw.split(b"\n") if line.strip()]


def _array(raw: bytes) -> list[bytes]:
    items = _decode_json(
        _split_array, raw, lambda _: ProblemError(INVALID, "A batch must be a JSON array of orders")
    )
    return [bytes(item) for item in items]


def _parse_event(raw: bytes) -> tuple[Content, UUID]:
    data, key = _unwrap_event(raw)
    return parse(data), key


def _orders(items: list[bytes], parse_one: Callable[[bytes], tuple[Content, UUID | None]]) -> Batch:
    batch, accepted_at_us = Batch(), now_us()
    first: dict[UUID, Order] = {}
    for index, item in enumerate(items):
        try:
            content, key = parse_one(item)
        except ProblemError as problem:
            problem.index = index
            problem.detail = f"order {index}: {problem.detail}"
            raise
        order = Order(key or new_message_id(), *content, accepted_at_us)
        batch.message_ids.append(order.message_id)
        if key is not None:
            earlier = first.setdefault(key, order)
            if earlier is not order:
                if not earlier.same_as(order):
                    detail = f"order {index}: {key} is another order earlier in this batch"
                    raise ProblemError(CONFLICT, detail, field="message_id", index=index)
                continue
            batch.keyed.add(key)
        batch.distinct.append(order)
    return batch
