"""A batch of v2: read from the consumer group, parsed, stored in PostgreSQL, and applied to the metrics in Redis.

``worker`` takes batches through these steps; the order of the sections below is theirs.
"""

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import asyncpg
import msgspec
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from backend.clients.daemon import Database
from backend.clients.tracing import FIELD, trace_id
from coffee_core.clock import MAX_TIME_US
from coffee_core.errors import CoffeeError, OrderError
from coffee_core.keys import DEAD_STREAM, STREAM, STREAM_GROUP, MetricKeys
from coffee_core.menu import DRINKS, MAX_PRICE_CENTS, STORES
from coffee_core.order import Order
from coffee_core.pipelines.constants import V2
from coffee_core.resources import lua, sql

_log = logging.getLogger(__name__)

Entry: TypeAlias = tuple[str, Mapping[str, str]]
"""Entry id and fields; no fields where the entry was deleted from the stream before it was read."""


@dataclass(frozen=True, slots=True)
class OrderEntry:
    """An entry that holds an order."""

    entry_id: str
    """Id of the stream entry."""
    order: Order
    """The order parsed from its fields."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An entry that can never become a row."""

    entry_id: str
    """Id of the stream entry."""
    reason: str
    """``malformed``, ``refused`` or ``key-conflict``."""
    detail: str
    """Explanation for people, with the field's name."""


@dataclass(slots=True)
class Batch:
    """Entries read at once, by what is to become of them."""

    orders: list[OrderEntry] = field(default_factory=list)
    """Orders: to be stored, and counted where the stored row is their own."""
    duplicates: list[str] = field(default_factory=list)
    """Ids of entries whose order another entry brought: to be dropped."""
    dead_letters: list[DeadLetter] = field(default_factory=list)
    """Entries that can never be stored."""
    deleted: list[str] = field(default_factory=list)
    """Ids of entries that somebody deleted from the stream: to be acknowledged, nothing else is known of them."""
    traceparents: dict[str, str] = field(default_factory=dict)
    """Entry id → traceparent, of entries that carry one."""
    read_at_ns: int = field(default_factory=time.time_ns, compare=False)
    """When it was read, in nanoseconds since the epoch."""

    @property
    def size(self) -> int:
        """How many entries were read."""
        return len(self.orders) + len(self.duplicates) + len(self.dead_letters) + len(self.deleted)


# Reading: new entries, this consumer's own unfinished ones, those of dead consumers, and those of nobody.

BLOCK_MS = 500
"""How long a read waits for an entry: well under the socket's timeout, and what a SIGTERM may have to wait."""
MIN_IDLE_MS = 5_000
"""After how long without an acknowledgement an entry may be claimed from its consumer."""


MOST_STUCK, MOST_VISITED = 1_000, 5_000
"""Entries pending nowhere that are claimed at once, and entries that are looked at for them: some ms of Redis."""
FROM_THE_FIRST = "0-0"
"""Where to begin to look for every entry that is pending nowhere, whatever the group's counts say."""


class ConsumerGroup:
    """The consumer group of the workers, under one consumer's name."""

    def __init__(self, client: Redis, consumer: str, batch_orders: int) -> None:
        self._client = client
        self._consumer = consumer
        self._count = batch_orders
        self._retire = client.register_script(lua("backend.pipelines.v2_streams", "retire_consumer"))
        self._claim_stuck = client.register_script(lua("backend.pipelines.v2_streams", "claim_stuck"))
        self._claim_from = "0-0"
        self._stuck_from = FROM_THE_FIRST

    async def create_if_missing(self) -> bool:
        """Create group and stream where they are missing; return whether the group was."""
        try:
            await self._client.xgroup_create(STREAM, STREAM_GROUP, id="0", mkstream=True)
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise
            return False
        return True

    async def pending(self) -> list[Entry]:
        """Return entries that were delivered to this consumer before and never acknowledged."""
        return await self._read("0", None)

    async def read_available(self) -> list[Entry]:
        """Return the new entries that the stream has now: perhaps none."""
        return await self._read(">", None)

    async def read_blocking(self) -> list[Entry]:
        """Return the new entries that the stream has now, or else the first to come within ``BLOCK_MS``."""
        return await self._read(">", BLOCK_MS)

    async def _read(self, start: str, block_ms: int | None) -> list[Entry]:
        answer: Any = await self._client.xreadgroup(
            STREAM_GROUP, self._consumer, {STREAM: start}, count=self._count, block=block_ms
        )
        return answer[0][1] if answer else []

    async def claim_stale(self) -> list[Entry]:
        """Claim entries that another consumer was delivered and has not acknowledged for ``MIN_IDLE_MS``."""
        answer: Any = await self._client.xautoclaim(
            STREAM, STREAM_GROUP, self._consumer, MIN_IDLE_MS, start_id=self._claim_from, count=self._count
        )
        self._claim_from = answer[0]
        # Those deleted by somebody are named apart, and no longer pending.
        return [*answer[1], *((entry_id, {}) for entry_id in answer[2])]

    async def claim_stuck(self) -> int:
        """Make entries that are pending nowhere this consumer's own pending ones; return how many.

        Nobody would ever be delivered them: somebody has removed the consumer that had them, set the group on,
        or made it anew.
        """
        most = min(self._count, MOST_STUCK)
        args = (STREAM_GROUP, self._consumer, 0, self._stuck_from, most, MOST_VISITED)
        self._stuck_from, beyond, *claimed = await self._claim_stuck(keys=(STREAM,), args=args)
        if beyond:
            _log.warning("the group stood beyond the end of the stream: set back to it")
        return len(claimed)

    async def retire(self) -> None:
        """Remove this consumer, unless it has pending entries: XGROUP DELCONSUMER would drop them."""
        await self._retire(keys=(STREAM,), args=(STREAM_GROUP, self._consumer))


# Parsing: entries into orders.

_UUID_LENGTH = 36


def parse(entries: Sequence[Entry]) -> Batch:
    """Parse entries into orders; one that holds no valid order is a dead letter."""
    batch = Batch(
        traceparents={
            entry_id: fields[FIELD] for entry_id, fields in entries if FIELD in fields and trace_id(fields[FIELD])
        }
    )
    orders = _parse_all([fields for _, fields in entries])
    if orders is not None:
        batch.orders = [OrderEntry(entry_id, order) for (entry_id, _), order in zip(entries, orders, strict=True)]
        return batch
    for entry_id, fields in entries:
        if not fields:
            batch.deleted.append(entry_id)
            continue
        try:
            batch.orders.append(OrderEntry(entry_id, Order.from_fields(fields)))
        except OrderError as error:
            batch.dead_letters.append(DeadLetter(entry_id, "malformed", printable(str(error))))
    return batch


def _parse_all(contents: Sequence[Mapping[str, str]]) -> list[Order] | None:
    """Parse as strictly as ``Order.from_fields`` in a fifth of the time; None where one may have to be refused."""
    try:
        orders = msgspec.convert(contents, list[Order], strict=False)
    except (msgspec.ValidationError, UnicodeError):
        return None
    # msgspec also takes 1e3 or 1.0 for a number, and a UUID without its dashes.
    numbers = "".join(
        [fields["price_cents"] + fields["ordered_at_us"] + fields["accepted_at_us"] for fields in contents]
    )
    lengths = {len(fields["message_id"]) for fields in contents}
    strict = numbers.isascii() and numbers.isdecimal() and lengths == {_UUID_LENGTH}
    return orders if strict and all(map(_is_within_bounds, orders)) else None


def _is_within_bounds(order: Order) -> bool:
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


# Storing: rows in PostgreSQL, and which entry each of them came from.

_INSERT_NEW = sql("backend.pipelines.v2_streams", "insert")
_INSERT = f"{_INSERT_NEW}\n{sql('backend.pipelines.v2_streams', 'insert_keep_first')}"
_READ_BACK = sql("backend.pipelines.v2_streams", "read_back")
_ALL_NEW_FROM = 50
"""Orders from which on a batch is first taken for all new: a backlog, where a repeat is rare and speed counts."""
_REFUSAL_CLASSES = ("22", "23")
"""Classes of SQLSTATE by which PostgreSQL refuses an order: data exception, integrity constraint violation."""


class RowVanishedError(CoffeeError):
    """An order was removed from the table while it was being stored; the batch must be taken again."""

    def __str__(self) -> str:
        return "an order was removed from the table while it was being stored"


async def store(connection: Database, batch: Batch) -> None:
    """Insert and commit the orders of a batch; afterwards ``orders`` holds those alone whose row is their own.

    The others have become duplicates or dead letters. Raises asyncpg's errors, after which some of the batch may
    be stored and the whole of it can be stored again, and RowVanishedError.
    """
    entries, batch.orders = batch.orders, []
    if len(entries) >= _ALL_NEW_FROM and await _insert_all_new(connection, entries):
        batch.orders = entries
    elif entries:
        await _insert_or_bisect(connection, entries, batch)


async def _insert_all_new(connection: Database, entries: Sequence[OrderEntry]) -> bool:
    """Insert and commit all of a batch; return False where one was a repeat or refused, so that none is stored."""
    try:
        return await _insert(connection, _INSERT_NEW, entries) == len(entries)
    except asyncpg.PostgresError as error:
        if _is_refusal(error):
            return False
        raise


async def _insert_or_bisect(connection: Database, entries: Sequence[OrderEntry], batch: Batch) -> None:
    """Insert and commit entries; where PostgreSQL refuses, each half, until an order that it refuses is alone."""
    try:
        inserted = await _insert(connection, _INSERT, entries)
    except asyncpg.PostgresError as error:
        if not _is_refusal(error):
            raise
        if len(entries) == 1:
            detail = printable(f"{error.sqlstate}: {error}")
            batch.dead_letters.append(DeadLetter(entries[0].entry_id, "refused", detail))
            return
        half = len(entries) // 2
        await _insert_or_bisect(connection, entries[:half], batch)
        await _insert_or_bisect(connection, entries[half:], batch)
        return
    if inserted == len(entries):
        # Every entry has made a row, so every row is its own: nothing to read back.
        batch.orders.extend(entries)
    else:
        await _read_back(connection, entries, batch)


def _is_refusal(error: asyncpg.PostgresError) -> bool:
    return (error.sqlstate or "")[:2] in _REFUSAL_CLASSES


async def _insert(connection: Database, statement: str, entries: Sequence[OrderEntry]) -> int:
    """Return how many rows the statement has made."""
    status = await connection.execute(statement, *_columns(entries))
    return int(status.rpartition(" ")[2])


async def _read_back(connection: Database, entries: Sequence[OrderEntry], batch: Batch) -> None:
    """Look up whose rows are stored, in a statement of its own: the insert cannot see a concurrent duplicate."""
    rows = await connection.fetch(_READ_BACK, *_columns(entries))
    for entry, row in zip(entries, rows, strict=True):
        if not row["found"]:
            raise RowVanishedError
        if not row["same"]:
            detail = f"message_id {entry.order.message_id} belongs to another order"
            batch.dead_letters.append(DeadLetter(entry.entry_id, "key-conflict", detail))
        elif row["own"]:
            batch.orders.append(entry)
        else:
            batch.duplicates.append(entry.entry_id)


def _columns(entries: Sequence[OrderEntry]) -> tuple[list[Any], ...]:
    """Return what all three statements take: times as microseconds, for the driver half the work of datetimes."""
    orders = [entry.order for entry in entries]
    return (
        [order.message_id for order in orders],
        [order.drink for order in orders],
        [order.store for order in orders],
        [order.price_cents for order in orders],
        [order.ordered_at_us for order in orders],
        [order.accepted_at_us for order in orders],
        [entry.entry_id for entry in entries],
    )


# Applying: one script acknowledges a stored batch, counts its orders, drops duplicates and writes dead letters.

METRICS = MetricKeys(V2)
SCRIPT_KEYS = (STREAM, DEAD_STREAM, METRICS.counters, METRICS.latency, *METRICS.metrics)
"""The keys of every script that includes ``shared.lua``, in the order that it names."""
OrderGroup: TypeAlias = tuple[str, str, list[str], list[int], list[int]]
"""Drink, store; then of each order its entry id, cents, and when it was accepted in µs."""


@dataclass(frozen=True, slots=True)
class Applied:
    """The result of applying a batch."""

    consistent: bool
    """False where the metrics must be reconciled: they were inconsistent before, an acknowledgement had no effect,
    or an entry was deleted."""
    counted: int
    """Orders added to the metrics."""
    late: int
    """Orders stored here whose entry was no longer pending: another worker's, or the stream was flushed."""


class BatchScripts:
    """The scripts that apply batches and check the metrics; each is loaded where the server does not know it."""

    def __init__(self, client: Redis, consumer: str) -> None:
        self._consumer = consumer
        self._apply = client.register_script(lua("backend.pipelines.v2_streams", "apply_batch"))
        self._check = client.register_script(lua("backend.pipelines.v2_streams", "check_metrics"))

    async def apply(self, batch: Batch) -> Applied:
        """Apply a batch as a whole or not at all; entries that are not pending (any more) have no effect.

        Raises an error of Redis before anything is written where a key has the wrong type or memory is full.
        """
        outcomes = {
            "orders": _by_drink_and_store(batch.orders),
            "duplicates": batch.duplicates,
            "dead_letters": [(letter.entry_id, letter.reason, letter.detail) for letter in batch.dead_letters],
            "deleted": batch.deleted,
        }
        args = (STREAM_GROUP, self._consumer, batch.size, msgspec.json.encode(outcomes))
        consistent, counted, late = await self._apply(keys=SCRIPT_KEYS, args=args)
        return Applied(consistent == 1, counted, late)

    async def are_metrics_consistent(self) -> bool:
        """Tell whether the metrics exist, agree with one another and are not marked for reconciliation."""
        return bool(await self._check(keys=SCRIPT_KEYS))


def _by_drink_and_store(entries: Iterable[OrderEntry]) -> list[OrderGroup]:
    """Group orders: what all of a group have in common is sent and added once."""
    groups: dict[tuple[str, str], OrderGroup] = {}
    for entry in entries:
        order = entry.order
        key = order.drink, order.store
        if key not in groups:
            groups[key] = (*key, [], [], [])
        _, _, entry_ids, cents, accepted_at_us = groups[key]
        entry_ids.append(entry.entry_id)
        cents.append(order.price_cents)
        accepted_at_us.append(order.accepted_at_us)
    return list(groups.values())
