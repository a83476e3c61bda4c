"""v1 and v2: what makes an order durable before it is acknowledged."""

import asyncio
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from uuid import UUID

import asyncpg

from backend.clients.postgres import BROKEN, INSERT_GROUP, Content, PostgresBackend, first_line
from backend.clients.redis import RedisBackend
from backend.pipelines.interface import AWAY, Found
from coffee_core import keys
from coffee_core.clock import from_datetime, to_datetime
from coffee_core.errors import KeyConflictError, OutcomeUnknownError, UnavailableError
from coffee_core.order import Order
from coffee_core.pipelines.constants import V1
from coffee_core.resources import sql

# v1's orders without a key, in groups: whoever comes while one is being committed goes with the next.
#
# A commit costs PostgreSQL nearly the same for one row as for thirty. An order that its client may repeat goes by
# itself: another process may hold its key, and the others must not wait for that.


SIDE_BY_SIDE = 2
"""Groups that are committed at once: the API reads orders of the one while PostgreSQL writes the other."""
MOST = 256
"""Most orders of a group."""

Row = tuple[UUID, str, str, int, datetime, datetime]
"""Message id, drink, store, cents, ordered at, accepted at."""


class PostgresGroups:
    """Orders that wait for their group."""

    def __init__(self, postgres: PostgresBackend) -> None:
        self._postgres = postgres
        self._waiting: list[tuple[Row, asyncio.Future[None]]] = []
        self._busy = 0
        self._writers: set[asyncio.Task[None]] = set()

    async def insert(self, row: Row) -> None:
        """Return when the order is there; raises UnavailableError or OutcomeUnknownError, with its whole group."""
        self._postgres.health.require()
        committed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((row, committed))
        # Only the first who waits may have to call a writer: those who are busy look again before they end.
        if len(self._waiting) == 1 and self._busy < SIDE_BY_SIDE:
            self._busy += 1
            writer = asyncio.create_task(self._write_all())
            self._writers.add(writer)
            writer.add_done_callback(self._writers.discard)
        await committed

    async def _write_all(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
            columns = [list(column) for column in zip(*(row for row, _ in group), strict=True)]
            try:
                await self._postgres.commit(INSERT_GROUP, *columns)
            except Exception as error:  # noqa: BLE001  it is theirs who wait
                for _, committed in group:
                    if not committed.done():
                        committed.set_exception(error)
            else:
                for _, committed in group:
                    if not committed.done():
                        committed.set_result(None)
        self._busy -= 1


# Batches of v1: many rows, one transaction.


BATCH_TIMEOUT_S = 5.0
"""Seconds for a batch up to its COMMIT, after which it is rolled back."""
COMMIT_TIMEOUT_S = 2.0
"""Seconds after which the outcome of its COMMIT counts as unknown."""

_INSERT = sql("backend.pipelines.v1_direct", "insert_orders")
_SELECT = sql("backend.pipelines.v1_direct", "select_contents")


class PostgresBatches:
    """Inserts of many orders at once."""

    def __init__(self, postgres: PostgresBackend) -> None:
        self._postgres = postgres

    async def insert(self, said: Mapping[UUID, Content], accepted_at: datetime) -> UUID | None:
        """Commit all of these orders of v1; return None, or a message id that has another order, and none of them.

        Raises UnavailableError where certainly none was stored, OutcomeUnknownError where all may have been.
        """
        self._postgres.health.require()
        async with self._postgres.connection() as connection:
            committing = False
            try:
                async with asyncio.timeout(BATCH_TIMEOUT_S):
                    transaction = connection.transaction()
                    await transaction.start()
                    conflict = await self._write(connection, said, accepted_at)
                    if conflict is not None:
                        await transaction.rollback()
                        return conflict
                committing = True
                async with asyncio.timeout(COMMIT_TIMEOUT_S):
                    await transaction.commit()
            except BROKEN as error:
                self._postgres.give_up(connection)
                if committing:
                    raise OutcomeUnknownError(f"postgres broke off ({first_line(error)})") from error
                # Without a COMMIT, PostgreSQL rolls back what it has of a connection that closes.
                raise UnavailableError(f"postgres did not take the batch ({first_line(error)})") from error
        return None

    async def _write(
        self,
        connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]",
        said: Mapping[UUID, Content],
        accepted_at: datetime,
    ) -> UUID | None:
        columns = [list(column) for column in zip(*said.values(), strict=True)]
        added = await connection.execute(_INSERT, list(said), *columns, accepted_at)
        if added == f"INSERT 0 {len(said)}":
            return None
        # A second statement: it sees what others have committed while the first one waited for them.
        for row in await connection.fetch(_SELECT, list(said)):
            if said[UUID(int=row[0].int)] != tuple(row)[1:]:
                return UUID(int=row[0].int)
        return None


class Direct:
    """v1: a row, committed."""

    def __init__(self, postgres: PostgresBackend) -> None:
        self._postgres = postgres
        self._batches = PostgresBatches(postgres)
        self._groups = PostgresGroups(postgres)
        self.health = postgres.health
        """PostgreSQL's."""

    async def take(self, order: Order, keyed: bool) -> None:
        """Insert the order, or compare it with the row that is there: the row itself remembers every key."""
        ordered_at, accepted_at = to_datetime(order.ordered_at_us), to_datetime(order.accepted_at_us)
        row = (order.message_id, order.drink, order.store, order.price_cents, ordered_at, accepted_at)
        if not keyed:
            await self._groups.insert(row)
            return
        there = await self._postgres.insert(*row)
        if there is not None and there != (order.drink, order.store, order.price_cents, ordered_at):
            raise KeyConflictError(order.message_id)

    async def take_all(self, orders: Sequence[Order], keyed: AbstractSet[UUID]) -> None:  # noqa: ARG002  as above
        """Insert them in one transaction, which a conflict rolls back."""
        said = {
            order.message_id: (order.drink, order.store, order.price_cents, to_datetime(order.ordered_at_us))
            for order in orders
        }
        conflict = await self._batches.insert(said, to_datetime(orders[0].accepted_at_us))
        if conflict is not None:
            raise KeyConflictError(conflict)


_STATUS_V1 = sql("backend.pipelines.v1_direct", "select_status_v1")


class DirectLookup:
    """v1: the row, and whether the snapshot of the last run has it."""

    def __init__(self, postgres: PostgresBackend, redis: RedisBackend) -> None:
        self._postgres = postgres
        self._redis = redis
        self._keys = keys.MetricKeys(V1)

    async def find(self, message_id: UUID) -> Found | None:
        """Ask PostgreSQL."""
        fence: bytes | None
        try:
            # Before the row: a run that comes in between makes this answer old, not wrong.
            fence, total = await self._redis.command(
                "MGET", self._keys.fence, self._keys.total_orders, reading=True
            )
            asked = True
        except AWAY:
            fence, total, asked = None, None, False
        snapshot = None if fence is None or total is None else fence.decode().rpartition(" ")[0]
        row = await self._postgres.read(_STATUS_V1, message_id, snapshot)
        if row is None:
            return None
        shown = False if asked and snapshot is None else row["shown"]
        return Found(True, shown, from_datetime(row["accepted_at"]), from_datetime(row["stored_at"]))
