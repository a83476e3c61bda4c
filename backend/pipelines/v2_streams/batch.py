"""A batch of v2: read from the consumer group, parsed, stored in PostgreSQL, and applied to the metrics in Redis.

``worker`` takes batches through these steps; the order of the sections below is theirs.
"""

import logging
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, NamedTuple, TypeAlias

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

Entry: TypeAlias = tuple[str, Sequence[str] | None]
"""Entry id; names and values of its fields in turn: None or none where it was deleted before it was read."""


class Orders(NamedTuple):
    """Entries that hold an order, as columns: what PostgreSQL takes, without an object for each."""

    message_ids: list[str]
    """UUIDs."""
    drinks: list[str]
    stores: list[str]
    price_cents: list[int]
    ordered_at_us: list[int]
    accepted_at_us: list[int]
    entry_ids: list[str]
    """Ids of the stream entries."""

    @property
    def size(self) -> int:
        """How many there are."""
        return len(self.entry_ids)

    def chosen(self, places: Iterable[int]) -> "Orders":
        """Return those at these places."""
        rows = list(zip(*self, strict=True))
        return orders_of([rows[place] for place in places])

    def joined(self, others: "Orders") -> "Orders":
        """Return these and then the others."""
        return orders_of([*zip(*self, strict=True), *zip(*others, strict=True)])


def orders_of(rows: Sequence[tuple[Any, ...]]) -> Orders:
    """Return the columns of rows."""
    return Orders(*map(list, zip(*rows, strict=True))) if rows else Orders([], [], [], [], [], [], [])


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

    orders: Orders = field(default_factory=lambda: orders_of([]))
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
        return self.orders.size + len(self.duplicates) + len(self.dead_letters) + len(self.deleted)


# Reading: new entries, this consumer's own unfinished ones, those of dead consumers, and those of nobody.

BLOCK_MS = 500
"""How long a read waits for an entry: well under the socket's timeout, and what a SIGTERM may have to wait."""
MIN_IDLE_MS = 5_000
"""After how long without an acknowledgement an entry may be claimed from its consumer."""


MOST_STUCK, MOST_VISITED = 1_000, 5_000
"""Entries pending nowhere that are claimed at once, and entries that are looked at for them: some ms of Redis."""
FROM_THE_FIRST = "0-0"
"""Where to begin to look for every entry that is pending nowhere, whatever the group's counts say."""


def _as_it_comes(response: Any, **_: Any) -> Any:
    return response


class ConsumerGroup:
    """The consumer group of the workers, under one consumer's name."""

    def __init__(self, client: Redis, consumer: str, batch_orders: int) -> None:
        self._client = client
        # Entries as they come: making dictionaries of them was a fifth of the worker's time in a backlog.
        client.set_response_callback("XREADGROUP", _as_it_comes)
        self._consumer = consumer
        self._count = batch_orders
        self._retire = client.register_script(lua("backend.pipelines.v2_streams", "retire_consumer"))
        self._claim_stuck = client.register_script(lua("backend.pipelines.v2_streams", "claim_stuck"))
        self._claim_stale = client.register_script(lua("backend.pipelines.v2_streams", "claim_stale"))
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
        args = (STREAM_GROUP, self._consumer, MIN_IDLE_MS, self._claim_from, self._count)
        answer: Any = await self._claim_stale(keys=(STREAM, METRICS.counters), args=args)
        self._claim_from = answer[0]
        # Those deleted by somebody are named apart, and no longer pending.
        return [*answer[1], *((entry_id, ()) for entry_id in answer[2])]

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

_NAMES = ("message_id", "drink", "store", "price_cents", "ordered_at_us", "accepted_at_us", FIELD)
"""What the API writes, in this order; the last where the request carried it."""
_WIDTHS = (2 * len(_NAMES) - 2, 2 * len(_NAMES))
_UUIDS = re.compile("([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})*")
_UUID_LENGTH = 36
_LONGEST_NUMBER = 18


def parse(entries: Sequence[Entry]) -> Batch:
    """Parse entries into orders; one that holds no valid order is a dead letter."""
    batch = Batch()
    orders = _columns(entries)
    if orders is not None:
        batch.orders = orders
        traced = [(entry_id, items[-1]) for entry_id, items in entries if items and len(items) == _WIDTHS[1]]
        batch.traceparents = {entry_id: traceparent for entry_id, traceparent in traced if trace_id(traceparent)}
        return batch
    read = []
    for entry_id, items in entries:
        if not items:
            batch.deleted.append(entry_id)
            continue
        fields = dict(zip(items[::2], items[1::2], strict=True))
        if trace_id(fields.get(FIELD, "")):
            batch.traceparents[entry_id] = fields[FIELD]
        try:
            order = Order.from_fields(fields)
        except OrderError as error:
            batch.dead_letters.append(DeadLetter(entry_id, "malformed", printable(str(error))))
        else:
            read.append((*order.to_fields().values(), entry_id))
    batch.orders = orders_of(read)
    return batch


def _columns(entries: Sequence[Entry]) -> Orders | None:
    """Read entries as strictly as ``Order.from_fields``; None where not all are as the API writes them.

    A column is looked at as a whole: an entry costs a tenth of what it would by itself.
    """
    items = [items for _, items in entries if items]
    if not items or len(items) < len(entries):
        return None
    width, flat = len(items[0]), list(chain.from_iterable(items))
    if width not in _WIDTHS or len(flat) != width * len(items):
        return None
    if any(set(flat[2 * place :: width]) != {name} for place, name in enumerate(_NAMES[: width // 2])):
        return None
    message_ids, drinks, stores, *texts = (flat[place::width] for place in range(1, _WIDTHS[0], 2))
    digits = "".join(chain.from_iterable(texts))
    # Each number for itself: an empty one, and one that is too long.
    lengths = set(map(len, chain.from_iterable(texts)))
    if not (digits.isascii() and digits.isdecimal() and min(lengths) > 0 and max(lengths) <= _LONGEST_NUMBER):
        return None
    cents, ordered_us, accepted_us = (list(map(int, column)) for column in texts)
    is_strict = (
        set(map(len, message_ids)) == {_UUID_LENGTH}
        and _UUIDS.fullmatch("".join(message_ids)) is not None
        and set(drinks).issubset(DRINKS)
        and set(stores).issubset(STORES)
        and min(cents) >= 1
        and max(cents) <= MAX_PRICE_CENTS
        and max(max(ordered_us), max(accepted_us)) <= MAX_TIME_US
    )
    entry_ids = [entry_id for entry_id, _ in entries]
    return Orders(message_ids, drinks, stores, cents, ordered_us, accepted_us, entry_ids) if is_strict else None


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
    orders, batch.orders = batch.orders, orders_of([])
    if orders.size >= _ALL_NEW_FROM and await _insert_all_new(connection, orders):
        batch.orders = orders
    elif orders.size:
        await _insert_or_bisect(connection, orders, batch)


async def _insert_all_new(connection: Database, orders: Orders) -> bool:
    """Insert and commit all of a batch; return False where one was a repeat or refused, so that none is stored."""
    try:
        return await _insert(connection, _INSERT_NEW, orders) == orders.size
    except asyncpg.PostgresError as error:
        if _is_refusal(error):
            return False
        raise


async def _insert_or_bisect(connection: Database, orders: Orders, batch: Batch) -> None:
    """Insert and commit orders; where PostgreSQL refuses, each half, until an order that it refuses is alone."""
    try:
        inserted = await _insert(connection, _INSERT, orders)
    except asyncpg.PostgresError as error:
        if not _is_refusal(error):
            raise
        if orders.size == 1:
            detail = printable(f"{error.sqlstate}: {error}")
            batch.dead_letters.append(DeadLetter(orders.entry_ids[0], "refused", detail))
            return
        half = orders.size // 2
        await _insert_or_bisect(connection, orders.chosen(range(half)), batch)
        await _insert_or_bisect(connection, orders.chosen(range(half, orders.size)), batch)
        return
    if inserted == orders.size:
        # Every entry has made a row, so every row is its own: nothing to read back.
        batch.orders = batch.orders.joined(orders)
    else:
        await _read_back(connection, orders, batch)


def _is_refusal(error: asyncpg.PostgresError) -> bool:
    return (error.sqlstate or "")[:2] in _REFUSAL_CLASSES


async def _insert(connection: Database, statement: str, orders: Orders) -> int:
    """Return how many rows the statement has made."""
    status = await connection.execute(statement, *orders)
    return int(status.rpartition(" ")[2])


async def _read_back(connection: Database, orders: Orders, batch: Batch) -> None:
    """Look up whose rows are stored, in a statement of its own: the insert cannot see a concurrent duplicate."""
    rows = await connection.fetch(_READ_BACK, *orders)
    own = []
    for place, row in enumerate(rows):
        entry_id = orders.entry_ids[place]
        if not row["found"]:
            raise RowVanishedError
        if not row["same"]:
            detail = f"message_id {orders.message_ids[place]} belongs to another order"
            batch.dead_letters.append(DeadLetter(entry_id, "key-conflict", detail))
        elif row["own"]:
            own.append(place)
        else:
            batch.duplicates.append(entry_id)
    batch.orders = batch.orders.joined(orders.chosen(own))


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


def _by_drink_and_store(orders: Orders) -> list[OrderGroup]:
    """Group orders: what all of a group have in common is sent and added once."""
    groups: dict[tuple[str, str], OrderGroup] = {}
    for drink, store, cents, accepted_at_us, entry_id in zip(
        orders.drinks, orders.stores, orders.price_cents, orders.accepted_at_us, orders.entry_ids, strict=True
    ):
        group = groups.get((drink, store))
        if group is None:
            group = groups[drink, store] = (drink, store, [], [], [])
        group[2].append(entry_id)
        group[3].append(cents)
        group[4].append(accepted_at_us)
    return list(groups.values())
