"""From an ASGI request to many orders: a JSON array, or one JSON object a line."""

from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

import msgspec
from starlette.types import Receive, Scope

from backend.api import cloud_events
from backend.api.body import Content, parse, parse_item
from backend.api.incoming import check_headers, read_body
from backend.api.kinds import CONFLICT, INVALID, MALFORMED, TOO_LARGE
from backend.api.problems import ProblemError
from coffee_core.clock import now_us
from coffee_core.ids import new_message_id
from coffee_core.order import Order

MAX_ORDERS = 1_000
"""Most orders of one batch."""
MAX_BATCH_BYTES = 1024 * 1024
"""Longest body of a batch: a kilobyte an order, which is five times what one needs."""
NDJSON = b"application/x-ndjson"
EVENTS = b"application/cloudevents-batch+json"

_TYPES = (b"application/json", NDJSON, EVENTS)

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
    """Return the orders; raises ProblemError, or ClientGoneError where nobody waits for the answer any more."""
    content_type, key = check_headers(scope["headers"], _TYPES, MAX_BATCH_BYTES)
    if key is not None:
        detail = "Idempotency-Key: a batch has none; give each order its own message_id"
        raise ProblemError(INVALID, detail, field="Idempotency-Key")
    raw = await read_body(scope, receive, MAX_BATCH_BYTES)
    items = _lines(raw) if content_type == NDJSON else _array(raw)
    if not items:
        raise ProblemError(INVALID, "A batch has at least one order")
    if len(items) > MAX_ORDERS:
        raise ProblemError(TOO_LARGE, f"A batch has at most {MAX_ORDERS} orders, not {len(items)}")
    return _orders(items, _event if content_type == EVENTS else parse_item)


def _event(raw: bytes) -> tuple[Content, UUID]:
    data, key = cloud_events.unwrap(raw)
    return parse(data), key


def _lines(raw: bytes) -> list[bytes]:
    return [line for line in raw.split(b"\n") if line.strip()]


def _array(raw: bytes) -> list[bytes]:
    try:
        return [bytes(item) for item in _split_array(raw)]
    except msgspec.ValidationError as error:
        raise ProblemError(INVALID, "A batch must be a JSON array of orders") from error
    except (ValueError, RecursionError) as error:
        raise ProblemError(MALFORMED, str(error)) from error


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
