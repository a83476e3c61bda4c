"""The kafka-worker: takes records from the topic and stores them, with its own offsets in the same transaction.

``python -m backend.pipelines.v4_workers.worker`` is one member of the group; any number of them may run. It has
the last word: what it does not store is no order, and an aggregator that has counted it all the same is corrected
(``reconcile``).
"""

import asyncio
import gc
import json
import logging
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any, Protocol, TypeAlias
from uuid import UUID

import asyncpg
from aiokafka import AIOKafkaProducer
from redis.asyncio import Redis
from redis.exceptions import RedisError

from backend.clients.daemon import Database, open_postgres, open_redis, run_daemon
from backend.clients.kafka import kafka_options, naming_kafka
from backend.clients.kafka_producer import REQUEST_TIMEOUT_MS, close_producer
from backend.clients.postgres import GIVE_WAY
from backend.pipelines.dead_letters import KEY_CONFLICT
from backend.pipelines.topic.letters import LONGEST_TEXT
from backend.pipelines.v4_workers.member import NotOursError, run_member
from backend.pipelines.v4_workers.records import DeadLetter, Orders, Portion, Position, Record, parse
from coffee_core.errors import CoffeeError
from coffee_core.keys import WORKER_GROUP, WORKERS_DEAD_TOPIC, MetricKeys
from coffee_core.order import Order
from coffee_core.pipelines.constants import V4
from coffee_core.resources import sql
from coffee_core.settings import Settings

METRICS = MetricKeys(V4)
_log = logging.getLogger("backend.pipelines.v4_workers.kafka-worker")  # run with -m this module is __main__

_PACKAGE = "backend.pipelines.v4_workers"
_KNOW, _POSITIONS, _ADVANCE, _INSERT_NEW, _READ_BACK, _NOTE_OUTCOMES, _NOTE_REFUSED, _DOUBT_MENDED = (
    sql(_PACKAGE, name)
    for name in (
        "know_partitions",
        "positions",
        "advance",
        "insert",
        "read_back",
        "note_outcomes",
        "note_refused",
        "doubt_mended",
    )
)
_INSERT = f"{_INSERT_NEW}\n{sql(_PACKAGE, 'insert_keep_first')}"
_ALL_NEW_FROM = 50
"""Orders from which on a batch is first taken for all new: a backlog, where a repeat is rare and speed counts."""
_REFUSAL_CLASSES = ("22", "23")
"""Classes of SQLSTATE by which PostgreSQL refuses an order: data exception, integrity constraint violation."""
_MOST_RECORDS = 4_000
_GATHER_S = 0.02
"""Seconds from one commit to the next, unless more has come than that is worth waiting for: fewer and larger
commits leave the disk to the log of Redis, on which the dashboard waits."""
_GATHER_UP_TO = 500
"""Records with which a commit is not put off."""
_SENT_WITHIN_S = 8.0
"""Seconds in which a broker has the letters of a batch, whose transaction waits for that."""


class RowVanishedError(CoffeeError):
    """An order was removed from the table while it was being stored; the batch must be taken again."""


class _RefusedError(Exception):
    """PostgreSQL refuses an order of the batch."""


class Store:
    """Stores portions of the topic, each as a whole: rows, dead letters and the new offsets in one transaction."""

    def __init__(self, connection: Database, client: Redis, letters: "Letters", dedup_horizon_ms: int) -> None:
        self._connection = connection
        self._client = client
        self._letters = letters
        # An aggregator remembers an id for a horizon at least; half of it leaves it time for a backlog.
        self._surely_known = timedelta(milliseconds=dedup_horizon_ms / 2)
        self._due_s = 0.0
        # One statement at a time: a rebalance asks for positions while a batch is on its way.
        self._turn = asyncio.Lock()

    async def positions(self, partitions: Sequence[int]) -> Mapping[int, Position]:
        """Return where each of these partitions goes on. Raises asyncpg's errors."""
        async with self._turn:
            await self._connection.execute(_KNOW, partitions)
            rows = await self._connection.fetch(_POSITIONS, partitions)
        return {row["partition"]: Position(row["next_offset"], row["last_record"]) for row in rows}

    async def publish(self, positions: Mapping[int, int]) -> None:
        """Say in Redis how far the rows have come. Raises an error of Redis."""
        await self._client.hset(METRICS.stored, mapping=dict(positions))  # type: ignore[misc]

    async def process(self, portions: Sequence[Portion]) -> None:
        """Store all of it, or nothing. Raises NotOursError, RowVanishedError, and the errors of both servers."""
        loop = asyncio.get_running_loop()
        if sum(len(portion.records) for portion in portions) < _GATHER_UP_TO:
            await asyncio.sleep(max(0.0, self._due_s - loop.time()))
        self._due_s = loop.time() + _GATHER_S
        parsed = [parse(portion.records) for portion in portions]
        orders, letters = Orders(), []
        for of_portion, malformed in parsed:
            orders.records += of_portion.records
            orders.orders += of_portion.orders
            letters += malformed
        advances = (
            [portion.partition for portion in portions],
            [portion.first_offset for portion in portions],
            [portion.next_offset for portion in portions],
            [len(portion.records) for portion in portions],
            [len(malformed) for _, malformed in parsed],
            [portion.last_record for portion in portions],
        )
        for insert in (self._insert_all_new, self._insert, self._insert_by_halves):
            try:
                await self._commit(advances, orders, letters, insert)
            except _RefusedError:
                continue
            return

    async def _commit(
        self,
        advances: tuple[list[Any], ...],
        orders: Orders,
        letters: Sequence[DeadLetter],
        insert: "_Insert",
    ) -> None:
        """Commit all of it; raises _RefusedError where that has to be done with more care."""
        async with self._turn, self._connection.transaction():
            advanced = await self._connection.fetch(_ADVANCE, *advances)
            if len(advanced) < len(advances[0]):
                raise NotOursError
            outcomes = _Outcomes()
            inserted = await insert(orders, outcomes)
            if inserted and any(row["refusals"] for row in advanced):
                message_ids, *_, places = _columns(orders)
                await self._connection.execute(_DOUBT_MENDED, message_ids, places)
            if outcomes.refused_ids:
                await self._connection.execute(_NOTE_REFUSED, outcomes.refused_ids)
            if inserted + len(outcomes.refused_ids) < len(orders):
                await self._read_back(orders, outcomes)
            # Before the commit: a letter that is written again after a crash has the same key.
            await self._letters.send([*letters, *outcomes.letters])
            if columns := outcomes.columns():
                await self._connection.execute(_NOTE_OUTCOMES, *columns)

    async def _insert_all_new(self, orders: Orders, outcomes: "_Outcomes") -> int:
        """Insert orders that are probably all new. Raises _RefusedError where one is not, or refused."""
        if len(orders) < _ALL_NEW_FROM:
            return await self._insert(orders, outcomes)
        return await self._execute(_INSERT_NEW, orders)

    async def _insert(self, orders: Orders, outcomes: "_Outcomes") -> int:  # noqa: ARG002
        """Insert orders, and of repeated ones the first. Raises _RefusedError where PostgreSQL refuses one."""
        return await self._execute(_INSERT, orders) if len(orders) else 0

    async def _execute(self, statement: str, orders: Orders) -> int:
        """Return how many rows were made. Raises _RefusedError where PostgreSQL refuses one."""
        try:
            return _rows_of(await self._connection.execute(statement, *_columns(orders)))
        except asyncpg.PostgresError as error:
            if (error.sqlstate or "")[:2] in _REFUSAL_CLASSES:
                raise _RefusedError(f"refused: {error.sqlstate}: {error}") from error
            raise

    async def _insert_by_halves(self, orders: Orders, outcomes: "_Outcomes") -> int:
        """Insert what can be inserted; an order that PostgreSQL refuses becomes a dead letter."""
        try:
            async with self._connection.transaction():  # a savepoint: a refusal ends the transaction around it
                return await self._insert(orders, outcomes)
        except _RefusedError as error:
            if len(orders) == 1:
                outcomes.refuse(orders.records[0], orders.orders[0], " ".join(str(error).split())[:500])
                return 0
        return sum([await self._insert_by_halves(half, outcomes) for half in orders.halves()])

    async def _read_back(self, orders: Orders, outcomes: "_Outcomes") -> None:
        """Look up whose rows are stored, in a statement of its own: the insert cannot see a concurrent repeat."""
        refused = {id(letter.record) for letter in outcomes.letters}
        since_us = await self._counted_since_us()
        rows = await self._connection.fetch(_READ_BACK, *_columns(orders), self._surely_known, since_us)
        for record, row in zip(orders.records, rows, strict=True):
            if id(record) in refused:
                continue
            if not row["found"]:
                raise RowVanishedError
            if not row["own"]:
                outcomes.add(record, same=row["same"], doubtful=row["doubtful"])

    async def _counted_since_us(self) -> int | None:
        """Return since when the aggregators remember all that they count; None where nobody knows."""
        try:
            return int(await self._client.hget(METRICS.counters, "counted_since_us") or "")  # type: ignore[misc]
        except (RedisError, OSError, ValueError):
            return None


_Insert: TypeAlias = "Callable[[Orders, _Outcomes], Awaitable[int]]"
"""Inserts orders and returns how many rows were made; what it refuses it notes in the outcomes."""


class _Outcomes:
    """What became of orders that are no rows of their own."""

    def __init__(self) -> None:
        self.letters: list[DeadLetter] = []
        self.refused_ids: list[UUID] = []
        self._repeats: Counter[int] = Counter()
        self._doubts: Counter[int] = Counter()

    def refuse(self, record: Record, order: Order, reason: str) -> None:
        """Note an order that PostgreSQL refuses, which no aggregator can know."""
        self.letters.append(DeadLetter(record, reason))
        self.refused_ids.append(order.message_id)
        self._doubts[record.partition] += 1

    def add(self, record: Record, *, same: bool, doubtful: bool) -> None:
        """Note a repeat of a stored order, or another order under its message id."""
        if same:
            self._repeats[record.partition] += 1
        else:
            self.letters.append(DeadLetter(record, KEY_CONFLICT))
        self._doubts[record.partition] += doubtful

    def columns(self) -> tuple[list[int], ...] | None:
        """Return what ``note_outcomes`` takes; None where every order is a row."""
        dead = Counter(letter.record.partition for letter in self.letters)
        partitions = sorted({*self._repeats, *dead})
        if not partitions:
            return None
        counts = (self._repeats, dead, self._doubts)
        return partitions, *([count[number] for number in partitions] for count in counts)


def _rows_of(status: str) -> int:
    return int(status.rpartition(" ")[2])


def _columns(orders: Orders) -> tuple[list[Any], ...]:
    """Return what the statements take: times as microseconds, for the driver half the work of datetimes."""
    return (
        [order.message_id for order in orders.orders],
        [order.drink for order in orders.orders],
        [order.store for order in orders.orders],
        [order.price_cents for order in orders.orders],
        [order.ordered_at_us for order in orders.orders],
        [order.accepted_at_us for order in orders.orders],
        [f"{record.partition}:{record.offset}" for record in orders.records],
    )


class Letters(Protocol):
    """Where dead letters go."""

    async def send(self, letters: Sequence[DeadLetter]) -> None:
        """Return when all of them are kept."""


class LetterBox:
    """Sends dead letters to their topic, with a producer that is made for the first one."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer: AIOKafkaProducer | None = None

    async def send(self, letters: Sequence[DeadLetter]) -> None:
        """Return when the broker has all of them. Raises UnreachableError."""
        if not letters:
            return
        # A producer of this kind tries for ever: what it has in hand may yet arrive, twice then, under one key.
        with naming_kafka(self._settings.kafka_servers):
            async with asyncio.timeout(_SENT_WITHIN_S):
                await self._send(letters)

    async def _send(self, letters: Sequence[DeadLetter]) -> None:
        if self._producer is None:
            producer = AIOKafkaProducer(
                **kafka_options(self._settings),
                client_id="coffee-dead-letters",
                acks="all",
                enable_idempotence=True,
                request_timeout_ms=REQUEST_TIMEOUT_MS,
            )
            try:
                await producer.start()
            except BaseException:
                await producer.stop()
                raise
            self._producer = producer
        sent = []
        for letter in letters:
            place, text = _letter(letter)
            sent.append(await self._producer.send(WORKERS_DEAD_TOPIC, text, place))
            _log.warning("dead letter %s: %s", place.decode(), letter.reason)
        await asyncio.gather(*sent)

    async def close(self) -> None:
        """End the producer, where there is one."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await close_producer(producer)


def _letter(letter: DeadLetter) -> tuple[bytes, bytes]:
    """Return key and value, of the form that v3's job gives its letters."""
    record = letter.record
    value = record.value
    # A letter that the broker refuses as too large would keep all from going on. So only what must be is escaped:
    # a control character grows to six bytes, any other takes four at most, where "\ud83d\ude00" would be twelve.
    text = None if value is None else value.decode(errors="replace")[:LONGEST_TEXT]
    content = {"reason": letter.reason, "partition": record.partition, "offset": record.offset, "text": text}
    return f"{record.partition}:{record.offset}".encode(), json.dumps(content, ensure_ascii=False).encode()


async def open_session(database_url: str) -> Database:
    """Open a connection whose transactions give way. Raises an error of ``OUTAGES``."""
    connection = await open_postgres(database_url)
    await connection.execute(GIVE_WAY)
    return connection


async def run_worker(stop: asyncio.Event, settings: Settings) -> None:
    """Run a member of the workers' group until ``stop`` is set."""

    async def open_store(stack: AsyncExitStack) -> Store:
        connection = await open_session(settings.database_url)
        # Not close(), which would wait for a server that hangs.
        stack.callback(connection.terminate)
        letters = LetterBox(settings)
        stack.push_async_callback(letters.close)
        # For its publishing alone: it connects when that is due, and rows wait for no Redis.
        client = await stack.enter_async_context(open_redis(settings.redis_url))
        return Store(connection, client, letters, settings.dedup_horizon_ms)

    key = METRICS.storing_standstill
    await run_member(stop, settings, WORKER_GROUP, "kafka-worker", key, _MOST_RECORDS, open_store)


async def _run(stop: asyncio.Event) -> None:
    await run_worker(stop, Settings.attach())


if __name__ == "__main__":
    # What the modules have made stays: in a backlog the collector would look through it many times a second.
    gc.freeze()
    sys.exit(run_daemon("kafka-worker", _run))
