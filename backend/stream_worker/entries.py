"""Entries of the stream, and what becomes of each."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from coffee_core.errors import OrderError
from coffee_core.order import Order
from coffee_core.trace_context import FIELD, trace_id

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


def parse(entries: Iterable[Entry]) -> Batch:
    """Read entries into orders; what cannot be read is a dead letter."""
    batch = Batch()
    for entry_id, fields in entries:
        if not fields:
            batch.gone.append(entry_id)
            continue
        if FIELD in fields and trace_id(fields[FIELD]):
            batch.traces[entry_id] = fields[FIELD]
        try:
            batch.placed.append(Placed(entry_id, Order.from_fields(fields)))
        except OrderError as error:
            batch.dead.append(DeadLetter(entry_id, "malformed", printable(str(error))))
    return batch


def printable(text: str) -> str:
    """Return text of foreign origin in one line of valid UTF-8, at most 500 characters."""
    return " ".join(text.split())[:500].encode("utf-8", "backslashreplace").decode("utf-8")
