"""Entries of the stream, and what becomes of each."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from coffee_core.clock import MAX_TIME_US
from coffee_core.errors import OrderError
from coffee_core.menu import DRINKS, MAX_PRICE_CENTS, STORES
from coffee_core.order import Order
from coffee_core.trace_context import FIELD, trace_id

_UUID_LENGTH = 36
Entry = tuple[str, Mapping[str, str]]
"""Entry id and fields; no fields where the entry was deleted from the stream before it was read."""


@dataclass(frozen=True, slots=True)
class Placed:
    """An entry that holds an order."""

    entry_id: str
    """Id of the stream entry."""
    order: Order
    """What it says."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An entry that can never become a row."""

    entry_id: str
    """Id of the stream entry."""
    reason: str
    """``malformed``, ``refused`` or ``key-conflict``."""
    detail: str
    """The same in words, naming the field."""


@dataclass(slots=True)
class Batch:
    """Entries read at once, by what is to become of them."""

    placed: list[Placed] = field(default_factory=list)
    """Orders: to be stored, and counted where the stored row is their own."""
    duplicates: list[str] = field(default_factory=list)
    """Ids of entries whose order another entry brought: to be dropped."""
    dead: list[DeadLetter] = field(default_factory=list)
    """Entries that can never be stored."""
    gone: list[str] = field(default_factory=list)
    """Ids of entries that somebody deleted from the stream: to be acknowledged, nothing else is known of them."""
    traces: dict[str, str] = field(default_factory=dict)
    """Entry id → traceparent, of entries that carry one."""
    began_ns: int = field(default_factory=time.time_ns, compare=False)
    """When it was read, in nanoseconds since the epoch."""

    @property
    def entries(self) -> int:
        """How many were read."""
        return len(self.placed) + len(self.duplicates) + len(self.dead) + len(self.gone)


def parse(entries: Sequence[Entry]) -> Batch:
    """Read entries into orders; what cannot be read is a dead letter."""
    batch = Batch(
        traces={id_: fields[FIELD] for id_, fields in entries if FIELD in fields and trace_id(fields[FIELD])}
    )
    orders = _all_plain([fields for _, fields in entries])
    if orders is not None:
        batch.placed = [Placed(entry_id, order) for (entry_id, _), order in zip(entries, orders, strict=True)]
        return batch
    for entry_id, fields in entries:
        if not fields:
            batch.gone.append(entry_id)
            continue
        try:
            batch.placed.append(Placed(entry_id, Order.from_fields(fields)))
        except OrderError as error:
            batch.dead.append(DeadLetter(entry_id, "malformed", printable(str(error))))
    return batch


def _all_plain(contents: Sequence[Mapping[str, str]]) -> list[Order] | None:
    """Return what ``Order.from_fields`` would of each, in a fifth of the time; None where it may refuse one."""
    try:
        orders = msgspec.convert(contents, list[Order], strict=False)
    except (msgspec.ValidationError, UnicodeError):
        return None
    # msgspec also takes 1e3 or 1.0 for a number, and a UUID without its dashes.
    numbers = "".join([each["price_cents"] + each["ordered_at_us"] + each["accepted_at_us"] for each in contents])
    lengths = {len(each["message_id"]) for each in contents}
    strict = numbers.isascii() and numbers.isdecimal() and lengths == {_UUID_LENGTH}
    return orders if strict and all(map(_storable, orders)) else None


def _storable(order: Order) -> bool:
    return (
        order.drink in DRINKS
        and order.store in STORES
        and 1 <= order.price_cents <= MAX_PRICE_CENTS
        and order.ordered_at_us <= MAX_TIME_US
        and order.accepted_at_us <= MAX_TIME_US
    )


def printable(text: str) -> str:
    """Return text of foreign origin in one line of valid UTF-8, at most 500 characters."""
    return " ".join(text.split())[:500].encode("utf-8", "backslashreplace").decode("utf-8")
