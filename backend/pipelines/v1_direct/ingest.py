"""v1: an order is durable when its row is committed; the row itself remembers every key.

Three ways lead to the table. An order without a key goes in a group, see ``Groups``. One that its client may
repeat goes by itself, because another process may hold its key, and the others must not wait for that. A batch is
one transaction. Times go to PostgreSQL as microseconds: asyncpg turns the last of all datetimes into ``infinity``.
"""

import asyncio
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from uuid import UUID

from backend.clients.postgres import BROKEN, COMMIT_TIMEOUT_S, Connection, PostgresPool
from backend.pipelines.groups import Groups
from coffee_core.errors import KeyConflictError, OutcomeUnknownError
from coffee_core.order import Order
from coffee_core.resources import sql

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
        self._groups = Groups(self._insert_group)
        postgres.prepared += (_INSERT_ONE, _INSERT_GROUP)
        self.health = postgres.health
        """PostgreSQL's."""

    async def submit(self, order: Order, keyed: bool) -> None:
        """Insert the order, or compare it with the row that is there: the row itself remembers every key."""
        row = (order.message_id, *_content(order), order.accepted_at_us)
        if not keyed:
            self._postgres.health.require()
            await self._groups.submit(row)
            return
        stored = await self._insert_one(row)
        if stored is not None and stored != _content(order):
            raise KeyConflictError(order.message_id)

    async def submit_all(self, orders: Sequence[Order], keyed: AbstractSet[UUID]) -> None:  # noqa: ARG002  as above
        """Insert them in one transaction, which a conflict rolls back."""
        contents = {order.message_id: _content(order) for order in orders}
        conflict = await self._postgres.transact(lambda one: _write_batch(one, contents, orders[0].accepted_at_us))
        if conflict is not None:
            raise KeyConflictError(conflict)

    async def _insert_group(self, rows: Sequence[Row]) -> Sequence[None]:
        """Commit these orders; raises UnavailableError or OutcomeUnknownError for all of them."""
        await self._postgres.commit(_INSERT_GROUP, *(list(column) for column in zip(*rows, strict=True)))
        return [None] * len(rows)

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
