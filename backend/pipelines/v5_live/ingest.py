"""v5: an order is durable when its row is committed, and then it is in the totals: they are of one transaction.

Orders that wait while others are committed go with the next commit, also those that a client may repeat: what a
repeat would insert is there already, so it adds nothing, and is compared with its row afterwards. A group without
any of these is added by a statement that need not look for repeats. With
``COFFEE_V5_TOTALS=hot`` every order is a transaction of its own, and all of them update the same rows.
"""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING
from uuid import UUID

from backend.clients.connections import Connections
from backend.clients.postgres import BROKEN, COMMIT_TIMEOUT_S, Connection
from backend.pipelines.groups import Groups
from coffee_core.errors import KeyConflictError, OutcomeUnknownError, UnavailableError
from coffee_core.order import Order
from coffee_core.resources import sql

if TYPE_CHECKING:
    from asyncpg import Record

_log = logging.getLogger(__name__)

_PACKAGE = "backend.pipelines.v5_live"
_BEGIN, _KEEP_FIRST, _COUNT = (sql(_PACKAGE, name) for name in ("add", "add_keep_first", "add_count"))
ADD = f"{_BEGIN}\n{_KEEP_FIRST}\n{_COUNT}"
"""The statement that adds orders which may be repeats."""
ADD_FRESH = f"{_BEGIN}\n{_COUNT}"
"""The same of orders whose message ids the API has just made."""
_CONTENTS = sql(_PACKAGE, "contents")
_NOTIFY = sql(_PACKAGE, "notify")
_REST_S, _LONGEST_REST_S = 0.0005, 0.02
"""Seconds to rest after a NOTIFY for each order that it told of, and at most: of many, it tells together."""

Content = tuple[str, str, int, int]
"""What the client ordered: drink, store, cents, time in microseconds since the epoch."""


class LiveIngest:
    """v5: a row and what it adds to the totals, committed."""

    def __init__(self, connections: Connections) -> None:
        self._postgres = connections.postgres
        self._hot = connections.settings.v5_totals == "hot"
        self._groups = Groups(self._commit)
        self._untold = 0
        self._telling: asyncio.Task[None] | None = None
        self._postgres.prepared += (ADD, ADD_FRESH)
        self.health = self._postgres.health
        """PostgreSQL's."""

    async def submit(self, order: Order, keyed: bool) -> None:
        """Add the order, or compare it with the row that is there."""
        self.health.require()
        item = order, keyed
        added = (await self._commit([item]))[0] if self._hot else await self._groups.submit(item)
        if not added:
            await self._require_same(order)

    async def submit_all(self, orders: Sequence[Order], keyed: AbstractSet[UUID]) -> None:  # noqa: ARG002  as above
        """Add them in one transaction, which a conflict rolls back."""

        async def write(connection: Connection) -> UUID | None:
            added = await self._add(connection, ADD, orders)
            repeated = [] if added is None else [order for order in orders if order.message_id not in added]
            # A second statement: it sees what others have committed while the first one waited for them.
            ids = [order.message_id for order in repeated]
            return _conflict(repeated, await connection.fetch(_CONTENTS, ids)) if ids else None

        conflict = await self._postgres.transact(write)
        if conflict is not None:
            raise KeyConflictError(conflict)
        self._wake_projector(len(orders))

    async def _commit(self, items: Sequence[tuple[Order, bool]]) -> Sequence[bool]:
        """Commit orders, each with whether it may be a repeat; return of each whether it was added.

        Raises UnavailableError where certainly none was stored, OutcomeUnknownError where all may have been.
        """
        orders = [order for order, _ in items]
        statement = ADD if any(keyed for _, keyed in items) else ADD_FRESH
        async with self._postgres.connection() as connection:
            try:
                async with asyncio.timeout(COMMIT_TIMEOUT_S):
                    added = await self._add(connection, statement, orders)
            except BROKEN as error:
                raise self._postgres.failure(connection, error) from error
        self._wake_projector(len(orders))
        return [added is None or order.message_id in added for order in orders]

    async def _add(self, connection: Connection, statement: str, orders: Sequence[Order]) -> set[UUID] | None:
        """Run the statement; return the message ids that were added, None where all of them were."""
        added = await connection.fetchval(
            statement,
            [order.message_id for order in orders],
            [order.drink for order in orders],
            [order.store for order in orders],
            [order.price_cents for order in orders],
            [order.ordered_at_us for order in orders],
            [order.accepted_at_us for order in orders],
            self._hot,
        )
        return None if added is None else {UUID(int=each.int) for each in added}

    async def _require_same(self, order: Order) -> None:
        """Raise KeyConflictError where another order stands under this message id."""
        try:
            rows = await self._postgres.read_all(_CONTENTS, [order.message_id])
        except UnavailableError as error:
            raise OutcomeUnknownError(f"an order is stored under this message id, and {error}") from error
        if not rows:
            raise OutcomeUnknownError("a row with this message id was there and was deleted meanwhile")
        if _conflict([order], rows) is not None:
            raise KeyConflictError(order.message_id)

    def _wake_projector(self, orders: int) -> None:
        self._untold += orders
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._notify())

    async def _notify(self) -> None:
        while self._untold:
            told, self._untold = self._untold, 0
            try:
                await self._postgres.commit(_NOTIFY)
            except (UnavailableError, OutcomeUnknownError) as error:
                _log.debug("the projector has to look by itself: %s", error)
            await asyncio.sleep(min(told * _REST_S, _LONGEST_REST_S))


def _content(order: Order) -> Content:
    return order.drink, order.store, order.price_cents, order.ordered_at_us


def _conflict(orders: Iterable[Order], rows: "Iterable[Record]") -> UUID | None:
    """Return the first message id under which another order is stored; None where there is none."""
    stored = {UUID(int=row[0].int): tuple(row)[1:] for row in rows}
    return next((order.message_id for order in orders if stored.get(order.message_id) != _content(order)), None)
