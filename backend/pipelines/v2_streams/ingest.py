"""v2: an order is durable when Redis has added it to the stream; where the order is afterwards."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from itertools import chain
from uuid import UUID

from backend.clients.redis import RedisClient, Script
from backend.clients.tracing import CURRENT, FIELD
from coffee_core import keys
from coffee_core.errors import KeyConflictError
from coffee_core.order import Order
from coffee_core.pipelines.constants import V2
from coffee_core.resources import lua


class StreamIngest:
    """v2: a stream entry, acknowledged."""

    def __init__(self, redis: RedisClient, dedup_horizon_ms: int) -> None:
        self._redis = redis
        self._script = Script(lua("backend.pipelines.v2_streams", "add_order"))
        self._batch_script = Script(lua("backend.pipelines.v2_streams", "add_orders"))
        self._keys = keys.MetricKeys(V2)
        self._horizon_ms = dedup_horizon_ms
        self.health = redis.health
        """Redis's."""

    async def submit(self, order: Order, keyed: bool) -> None:
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

    async def submit_all(self, orders: Sequence[Order], keyed: AbstractSet[UUID]) -> None:
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
    fields = list(chain.from_iterable(order.to_fields().items()))
    if traceparent := CURRENT.get():
        fields += (FIELD, traceparent)
    return fields
