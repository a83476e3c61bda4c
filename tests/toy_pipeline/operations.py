"""What the toy does: the shortest correct ingest, status, audit and reconciliation."""

from collections.abc import Awaitable, Callable, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AsyncExitStack
from datetime import datetime
from functools import partial
from uuid import UUID

from backend.clients.connections import Connections
from backend.clients.servers import Servers, open_servers
from backend.pipelines.balance import Balance, difference, read_shown, same_content, stored
from backend.pipelines.operations import PipelineOperations
from backend.pipelines.repair import Mended
from backend.pipelines.status import Found
from coffee_core.clock import from_datetime, to_datetime
from coffee_core.errors import KeyConflictError
from coffee_core.order import Order
from coffee_core.resources import sql
from coffee_core.settings import Settings
from tests.toy_pipeline.projector import KEYS, TOY, project

_INSERT, _CONTENT, _STATUS = (sql("tests.toy_pipeline", name) for name in ("insert", "content", "status"))


class _Ingest:
    def __init__(self, connections: Connections) -> None:
        self._postgres = connections.postgres
        self.health = connections.postgres.health

    async def submit(self, order: Order, keyed: bool) -> None:
        ordered_at, accepted_at = to_datetime(order.ordered_at_us), to_datetime(order.accepted_at_us)
        content: tuple[str, str, int, datetime] = (order.drink, order.store, order.price_cents, ordered_at)
        await self._postgres.commit(_INSERT, order.message_id, *content, accepted_at)
        row = await self._postgres.read(_CONTENT, order.message_id) if keyed else None
        if row is not None and tuple(row) != content:
            raise KeyConflictError(order.message_id)

    async def submit_all(self, orders: Sequence[Order], keyed: AbstractSet[UUID]) -> None:
        for order in orders:
            await self.submit(order, order.message_id in keyed)


class _Lookup:
    def __init__(self, connections: Connections) -> None:
        self._postgres = connections.postgres

    async def find(self, message_id: UUID) -> Found | None:
        row = await self._postgres.read(_STATUS, message_id)
        if row is None:
            return None
        return Found(True, None, from_datetime(row["accepted_at"]), from_datetime(row["stored_at"]))


async def _audit(servers: Servers, *, unique_timestamps: bool) -> Balance:
    # Metrics first: a row that comes in between is in flight.
    shown, _, _ = await read_shown(servers.client, KEYS)
    rows = await stored(servers.database, TOY)
    behind = difference(rows, shown)
    return Balance(
        pipeline=TOY,
        accepted=rows.orders,
        stored=rows,
        shown=shown,
        duplicates_dropped=None,
        dead_letters=None,
        in_flight=0,
        lost=max(0, -behind.orders),
        duplicated=await same_content(servers.database, TOY, unique_timestamps),
        drift=difference(shown, rows),
    )


class ToyOperations(PipelineOperations):
    pipeline = TOY

    def open_ingest(self, connections: Connections) -> _Ingest:
        return _Ingest(connections)

    def open_lookup(self, connections: Connections) -> _Lookup:
        return _Lookup(connections)

    async def open_audit(
        self, stack: AsyncExitStack, servers: Servers, *, unique_timestamps: bool, deep: bool
    ) -> Callable[[], Awaitable[Balance]]:
        return partial(_audit, servers, unique_timestamps=unique_timestamps)

    async def reconcile(self, settings: Settings, settle_s: float) -> Mended:
        async with open_servers(settings) as servers:
            before = await _audit(servers, unique_timestamps=False)
            await project(servers.database, servers.client)
        return Mended.of_drift(TOY, before.drift)


OPERATIONS = ToyOperations()
