"""v1 and v2: what makes an order durable before it is acknowledged."""

from typing import Protocol

from backend.api import resources
from backend.api.health import Health
from backend.api.outcome import KeyConflictError
from backend.api.postgres_backend import PostgresBackend
from backend.api.redis_backend import RedisBackend, Script
from coffee_core import keys
from coffee_core.clock import to_datetime
from coffee_core.order import Order
from coffee_core.pipelines import Pipeline


class Intake(Protocol):
    """Where the orders of one pipeline go."""

    @property
    def health(self) -> Health:
        """The dependency without which it takes nothing."""

    async def take(self, order: Order, keyed: bool) -> None:
        """Return when the order is durable; ``keyed`` tells that the client may repeat its message id.

        Raises UnavailableError, OutcomeUnknownError or KeyConflictError.
        """


class Direct:
    """v1: a row, committed."""

    def __init__(self, postgres: PostgresBackend) -> None:
        self._postgres = postgres
        self.health = postgres.health
        """PostgreSQL's."""

    async def take(self, order: Order, keyed: bool) -> None:  # noqa: ARG002  the row itself remembers every key
        """Insert the order, or compare it with the row that is there."""
        ordered_at = to_datetime(order.ordered_at_us)
        there = await self._postgres.insert(
            order.message_id,
            order.drink,
            order.store,
            order.price_cents,
            ordered_at,
            to_datetime(order.accepted_at_us),
        )
        if there is not None and there != (order.drink, order.store, order.price_cents, ordered_at):
            raise KeyConflictError


class Streams:
    """v2: a stream entry, acknowledged."""

    def __init__(self, redis: RedisBackend, dedup_horizon_h: int) -> None:
        self._redis = redis
        self._script = Script(resources.text("add_order.lua"))
        self._keys = keys.MetricKeys(Pipeline.V2)
        self._horizon_ms = dedup_horizon_h * 3_600_000
        self.health = redis.health
        """Redis's."""

    async def take(self, order: Order, keyed: bool) -> None:
        """Add the order to the stream unless its key is known."""
        fields = [item for pair in order.to_fields().items() for item in pair]
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
            raise KeyConflictError
