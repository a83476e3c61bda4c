"""v1 and v2: what makes an order durable before it is acknowledged."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Protocol
from uuid import UUID

from backend.api import resources, tracing
from backend.api.health import Health
from backend.api.outcome import KeyConflictError
from backend.api.postgres_backend import PostgresBackend
from backend.api.postgres_batches import PostgresBatches
from backend.api.postgres_groups import PostgresGroups
from backend.api.redis_backend import RedisBackend, Script
from coffee_core import keys
from coffee_core.clock import to_datetime
from coffee_core.order import Order
from coffee_core.pipelines import Pipeline
from coffee_core.trace_context import FIELD


class Intake(Protocol):
    """Where the orders of one pipeline go."""

    @property
    def health(self) -> Health:
        """The dependency without which it takes nothing."""

    async def take(self, order: Order, keyed: bool) -> None:
        """Return when the order is durable; ``keyed`` tells that the client may repeat its message id.

        Raises UnavailableError, OutcomeUnknownError or KeyConflictError.
        """

    async def take_all(self, orders: Sequence[Order], keyed: AbstractSet[UUID]) -> None:
        """Return when all of these are durable; no two have the same message id. Else none is; raises the same.

        ``keyed`` are the message ids that the client may repeat.
        """


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


class Streams:
    """v2: a stream entry, acknowledged."""

    def __init__(self, redis: RedisBackend, dedup_horizon_ms: int) -> None:
        self._redis = redis
        self._script = Script(resources.text("add_order.lua"))
        self._batch_script = Script(resources.text("add_orders.lua"))
        self._keys = keys.MetricKeys(Pipeline.V2)
        self._horizon_ms = dedup_horizon_ms
        self.health = redis.health
        """Redis's."""

    async def take(self, order: Order, keyed: bool) -> None:
        """Add the order to the stream unless its key is known."""
        fields = _fields(order)
        if not keyed:  # nobody can repeat a message id that the API has just made
            await self._redis.command("XADD", keys.STREAM, "*", *fields)
            return
        added = await self._redis.call(
            self._script,
            (keys.STREAM, self._keys.idempotency(str(order.message_id))),
            order.content,
            self._horizon_ms,
            *fields,
        )
        if added < 0:
            raise KeyConflictError(order.message_id)

    async def take_all(self, orders: Sequence[Order], keyed: AbstractSet[UUID]) -> None:
        """Add them all in one script."""
        names = [keys.STREAM]
        args: list[str | int] = []
        for order in orders:
            content = ""
            if order.message_id in keyed:
                content = order.content
                names.append(self._keys.idempotency(str(order.message_id)))
            args += (content, *_fields(order))
        items = len(args) // len(orders) - 1
        conflict = await self._redis.call(self._batch_script, tuple(names), self._horizon_ms, items, *args)
        if conflict:
            raise KeyConflictError(orders[conflict - 1].message_id)


def _fields(order: Order) -> list[str | int]:
    fields = [item for pair in order.to_fields().items() for item in pair]
    if trace := tracing.traceparent():
        fields += (FIELD, trace)
    return fields
