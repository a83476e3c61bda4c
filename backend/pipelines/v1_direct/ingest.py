"""v1: an order is durable when its row is committed; the row itself remembers every key.

Three ways lead to the table. An order without a key goes in a group, see ``_Groups``. One that its client may
repeat goes by itself, because another process may hold its key, and the others must not wait for that. A batch is
one transaction. Times go to PostgreSQL as microseconds: asyncpg turns the last of all datetimes into ``infinity``.
"""

import asyncio
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from uuid import UUID

from backend.clients.postgres import BROKEN, COMMIT_TIMEOUT_S, Connection, PostgresPool, first_line
from coffee_core.errors import KeyConflictError, OutcomeUnknownError, UnavailableError
from coffee_core.order import Order
from coffee_core.resources import sql

CONCURRENT_GROUPS = 2
"""Groups that are committed at once: the API reads orders of the one while PostgreSQL writes the other."""
MAX_GROUP = 256
"""Most orders of a group."""
BATCH_TIMEOUT_S = 5.0
"""Seconds for a batch up to its COMMIT, after which it is rolled back."""

_PACKAGE = "backend.pipelines.v1_direct"
_INSERT_ONE = sql(_PACKAGE, "insert_order")
_INSERT_GROUP = sql(_PACKAGE, "insert_group")
_INSERT_BATCH = sql(_PACKAGE, "insert_orders")
_SELECT_CONTENTS = sql(_PACKAGE, "select_contents")

Content = tuple[str, str, int, int]
"""What the client ordered: drink, store, cents, time in microseconds since the epoch."""
Row = tuple[UUID, str, str, int, int, int]
"""Message id, content, and when the API accepted it, in microseconds since the epoch."""


class DirectIngest:
    """v1: a row, committed."""

    def __init__(self, postgres: PostgresPool) -> None:
        self._postgres = postgres
        self._groups = _Groups(postgres)
        postgres.prepared += (_INSERT_ONE, _INSERT_GROUP)
        self.health = postgres.health
        """PostgreSQL's."""

    async def submit(self, order: Order, keyed: bool) -> None:
        """Insert the order, or compare it with the row that is there: the row itself remembers every key."""
        row = (order.message_id, *_content(order), order.accepted_at_us)
        if not keyed:
            await self._groups.insert(row)
            return
        stored = await self._insert_one(row)
        if stored is not None and stored != _content(order):
            raise KeyConflictError(order.message_id)

    async def submit_all(self, orders: Sequence[Order], keyed: AbstractSet[UUID]) -> None:  # noqa: ARG002  as above
        """Insert them in one transaction, which a conflict rolls back."""
        contents = {order.message_id: _content(order) for order in orders}
        conflict = await self._insert_batch(contents, orders[0].accepted_at_us)
        if conflict is not None:
            raise KeyConflictError(conflict)

    async def _insert_one(self, row: Row) -> Content | None:
        """Commit one order; return None where it was added, else what is stored under its message id."""
        self._postgres.health.require()
        async with self._postgres.connection() as connection:
            added = ""
            try:
                async with asyncio.timeout(COMMIT_TIMEOUT_S):
                    added = await connection.execute(_INSERT_ONE, *row)
                    if added.endswith(" 1"):
                        return None
                    stored = await connection.fetchrow(_SELECT_CONTENTS, [row[0]])
            except BROKEN as error:
                raise self._postgres.failure(connection, error, committed=bool(added)) from error
        if stored is None:
            raise OutcomeUnknownError("a row with this message id was there and was deleted meanwhile")
        _, drink, store, cents, ordered_us = stored
        return drink, store, cents, ordered_us

    async def _insert_batch(self, contents: Mapping[UUID, Content], accepted_us: int) -> UUID | None:
        """Commit all of these orders; return None, or a message id that has another order, and none of them.

        Raises UnavailableError where certainly none was stored, OutcomeUnknownError where all may have been.
        """
        self._postgres.health.require()
        async with self._postgres.connection() as connection:
            committing = False
            try:
                async with asyncio.timeout(BATCH_TIMEOUT_S):
                    transaction = connection.transaction()
                    await transaction.start()
                    conflict = await _write_batch(connection, contents, accepted_us)
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


def _content(order: Order) -> Content:
    return order.drink, order.store, order.price_cents, order.ordered_at_us


async def _write_batch(connection: Connection, contents: Mapping[UUID, Content], accepted_us: int) -> UUID | None:
    columns = [list(column) for column in zip(*contents.values(), strict=True)]
    added = await connection.execute(_INSERT_BATCH, list(contents), *columns, accepted_us)
    if added == f"INSERT 0 {len(contents)}":
        return None
    # A second statement: it sees what others have committed while the first one waited for them.
    for message_id, *stored in await connection.fetch(_SELECT_CONTENTS, list(contents)):
        if contents[UUID(int=message_id.int)] != tuple(stored):
            return UUID(int=message_id.int)
    return None


class _Groups:
    """Orders without a key: whoever comes while a group is being committed goes with the next.

    A commit costs PostgreSQL nearly the same for one row as for thirty.
    """

    def __init__(self, postgres: PostgresPool) -> None:
        self._postgres = postgres
        self._waiting: list[tuple[Row, asyncio.Future[None]]] = []
        self._busy = 0
        self._writers: set[asyncio.Task[None]] = set()

    async def insert(self, row: Row) -> None:
        """Return when the order is stored; raises UnavailableError or OutcomeUnknownError, as its whole group."""
        self._postgres.health.require()
        committed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((row, committed))
        # Only the first who waits may have to start a writer: those who are busy look again before they end.
        if len(self._waiting) == 1 and self._busy < CONCURRENT_GROUPS:
            self._busy += 1
            writer = asyncio.create_task(self._write_all())
            self._writers.add(writer)
            writer.add_done_callback(self._writers.discard)
        await committed

    async def _write_all(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting[:MAX_GROUP], self._waiting[MAX_GROUP:]
            columns = [list(column) for column in zip(*(row for row, _ in group), strict=True)]
            try:
                await self._postgres.commit(_INSERT_GROUP, *columns)
            except Exception as error:  # noqa: BLE001  it is theirs who wait
                for _, committed in group:
                    if not committed.done():
                        committed.set_exception(error)
            else:
                for _, committed in group:
                    if not committed.done():
                        committed.set_result(None)
        self._busy -= 1
