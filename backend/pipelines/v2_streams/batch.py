"""Stores a batch in PostgreSQL and finds out which of its entries the rows came from."""

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
from coffee_core import keys
from coffee_core.clock import MAX_TIME_US
from coffee_core.errors import CoffeeError, OrderError
from coffee_core.keys import STREAM, STREAM_GROUP
from coffee_core.menu import DRINKS, MAX_PRICE_CENTS, STORES
from coffee_core.order import Order
from coffee_core.pipelines.constants import V2
from coffee_core.resources import lua, sql

# Entries of the stream, and what becomes of each.


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


# The worker's view of the stream: new entries, its own unfinished ones, those of dead consumers.


BLOCK_MS = 500
"""How long a read waits for an entry: well under the socket's timeout, and what a SIGTERM may have to wait."""
MIN_IDLE_MS = 5_000
"""After how long without an acknowledgement an entry may be taken from its consumer."""


class ConsumerGroup:
    """The consumer group of the workers, under one consumer's name."""

    def __init__(self, client: Redis, consumer: str, batch_orders: int) -> None:
        self._client = client
        self._consumer = consumer
        self._count = batch_orders
        self._retire = client.register_script(lua("backend.pipelines.v2_streams", "retire"))
        self._claim_from = "0-0"

    async def ensure(self) -> bool:
        """Create group and stream where they are missing; tell whether the group was."""
        try:
            await self._client.xgroup_create(STREAM, STREAM_GROUP, id="0", mkstream=True)
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise
            return False
        return True

    async def own(self) -> list[Entry]:
        """Return entries that were delivered to this consumer before and never acknowledged."""
        return await self._read("0", None)

    async def new(self) -> list[Entry]:
        """Return what is there now, or else the first to come within half a second."""
        return await self._read(">", BLOCK_MS)

    async def there(self) -> list[Entry]:
        """Return new entries that are there now: perhaps none."""
        return await self._read(">", None)

    async def _read(self, start: str, block_ms: int | None) -> list[Entry]:
        answer: Any = await self._client.xreadgroup(
            STREAM_GROUP, self._consumer, {STREAM: start}, count=self._count, block=block_ms
        )
        return answer[0][1] if answer else []

    async def of_the_dead(self) -> list[Entry]:
        """Take over entries that their consumer has not finished for some seconds."""
        answer: Any = await self._client.xautoclaim(
            STREAM, STREAM_GROUP, self._consumer, MIN_IDLE_MS, start_id=self._claim_from, count=self._count
        )
        self._claim_from = answer[0]
        # Those deleted by somebody are named apart, and no longer pending.
        return [*answer[1], *((entry_id, {}) for entry_id in answer[2])]

    async def retire(self) -> None:
        """Remove this consumer, unless it has pending entries: XGROUP DELCONSUMER would drop them."""
        await self._retire(keys=(STREAM,), args=(STREAM_GROUP, self._consumer))


_INSERT_NEW = sql("backend.pipelines.v2_streams", "insert")
_INSERT = _INSERT_NEW + sql("backend.pipelines.v2_streams", "first_kept")
_ALL_NEW_FROM = 50
"""Orders from which on a batch is first taken for all new: a backlog, where a repeat is rare and speed counts."""
_READ_BACK = sql("backend.pipelines.v2_streams", "read_back")
_REFUSED_CLASSES = ("22", "23")


class RowVanishedError(CoffeeError):
    """An order was removed from the table while it was being stored; the batch must be taken again."""


async def store(connection: Database, batch: Batch) -> None:
    """Insert and commit the orders of a batch; afterwards ``placed`` holds those alone whose row is their own.

    The others have become duplicates or dead letters. Raises asyncpg's errors, after which some of the batch may
    be stored and the whole of it can be stored again, and RowVanishedError.
    """
    placed, batch.placed = batch.placed, []
    if len(placed) >= _ALL_NEW_FROM and await _all_new(connection, placed):
        batch.placed = placed
    elif placed:
        await _store(connection, placed, batch)


async def _all_new(connection: Database, placed: Sequence[Placed]) -> bool:
    """Insert and commit all of a batch; return False where one was a repeat or refused, so that none is stored."""
    try:
        return await _insert(connection, _INSERT_NEW, placed) == len(placed)
    except asyncpg.PostgresError as error:
        if _refused(error):
            return False
        raise


async def _store(connection: Database, placed: Sequence[Placed], batch: Batch) -> None:
    try:
        inserted = await _insert(connection, _INSERT, placed)
    except asyncpg.PostgresError as error:
        if not _refused(error):
            raise
        if len(placed) == 1:
            detail = printable(f"{error.sqlstate}: {error}")
            batch.dead.append(DeadLetter(placed[0].entry_id, "refused", detail))
            return
        half = len(placed) // 2
        await _store(connection, placed[:half], batch)
        await _store(connection, placed[half:], batch)
        return
    if inserted == len(placed):
        # Every entry has made a row, so every row is its own: nothing to read back.
        batch.placed.extend(placed)
    else:
        await _sort_out(connection, placed, batch)


def _refused(error: asyncpg.PostgresError) -> bool:
    return (error.sqlstate or "")[:2] in _REFUSED_CLASSES


async def _insert(connection: Database, statement: str, placed: Sequence[Placed]) -> int:
    """Return how many rows it has made."""
    status = await connection.execute(statement, *_columns(placed))
    return int(status.rpartition(" ")[2])


def _columns(placed: Sequence[Placed]) -> tuple[list[Any], ...]:
    """Return what all three statements take: times as microseconds, for the driver half the work of datetimes."""
    orders = [each.order for each in placed]
    return (
        [order.message_id for order in orders],
        [order.drink for order in orders],
        [order.store for order in orders],
        [order.price_cents for order in orders],
        [order.ordered_at_us for order in orders],
        [order.accepted_at_us for order in orders],
        [each.entry_id for each in placed],
    )


async def _sort_out(connection: Database, placed: Sequence[Placed], batch: Batch) -> None:
    rows = await connection.fetch(_READ_BACK, *_columns(placed))
    for each, row in zip(placed, rows, strict=True):
        if not row["found"]:
            raise RowVanishedError
        if not row["same"]:
            detail = f"message_id {each.order.message_id} belongs to another order"
            batch.dead.append(DeadLetter(each.entry_id, "key-conflict", detail))
        elif row["own"]:
            batch.placed.append(each)
        else:
            batch.duplicates.append(each.entry_id)


# Gives a stored batch its effect in Redis: one script acknowledges, counts, drops and buries.


METRICS = keys.MetricKeys(V2)
SCRIPT_KEYS = (keys.STREAM, keys.DEAD_STREAM, METRICS.counters, METRICS.latency, *METRICS.metrics)
"""The keys of every script, in the order that ``lua/shared.lua`` names."""
Group: TypeAlias = tuple[str, str, list[str], list[int], list[int]]
"""Drink, store; then of each order its entry id, cents, and when it was accepted in µs."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of a batch."""

    sound: bool
    """The metrics were whole before it, every acknowledgement took effect, no entry was gone; else reconcile."""
    counted: int
    """Orders added to the metrics."""
    late: int
    """Orders stored here whose entry was no longer pending: another worker's, or the stream was flushed."""


class Effects:
    """The scripts of a consumer on one client; each is loaded where the server does not know it (any more)."""

    def __init__(self, client: Redis, consumer: str) -> None:
        self._consumer = consumer
        self._apply = client.register_script(lua("backend.pipelines.v2_streams", "apply"))
        self._check = client.register_script(lua("backend.pipelines.v2_streams", "check"))

    async def apply(self, batch: Batch) -> Applied:
        """Apply a batch as a whole or not at all; entries that are not pending (any more) have no effect.

        Raises an error of Redis before anything is written where a key has the wrong type or memory is full.
        """
        verdicts = {
            "placed": _groups(batch.placed),
            "duplicates": batch.duplicates,
            "dead": [(each.entry_id, each.reason, each.detail) for each in batch.dead],
            "gone": batch.gone,
        }
        args = (keys.STREAM_GROUP, self._consumer, batch.entries, msgspec.json.encode(verdicts))
        sound, counted, late = await self._apply(keys=SCRIPT_KEYS, args=args)
        return Applied(sound == 1, counted, late)

    async def sound(self) -> bool:
        """Tell whether the metrics are there, agree with one another and are not under suspicion."""
        return bool(await self._check(keys=SCRIPT_KEYS))


def _groups(placed: Iterable[Placed]) -> list[Group]:
    """Sort orders by drink and store: what is the same for all of a group is said and added once."""
    groups: dict[tuple[str, str], Group] = {}
    for each in placed:
        order = each.order
        kind = order.drink, order.store
        if kind not in groups:
            groups[kind] = (*kind, [], [], [])
        _, _, entry_ids, cents, accepted_at_us = groups[kind]
        entry_ids.append(each.entry_id)
        cents.append(order.price_cents)
        accepted_at_us.append(order.accepted_at_us)
    return list(groups.values())
