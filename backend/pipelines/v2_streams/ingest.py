"""v2: an order is durable when Redis has added it to the stream; where the order is afterwards."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from itertools import chain
from uuid import UUID

from backend.clients.postgres import PostgresBackend
from backend.clients.redis import RedisBackend, Script
from backend.clients.tracing import CURRENT, FIELD
from backend.pipelines.interface import _AWAY, Found, _OnLog
from coffee_core import keys
from coffee_core.errors import KeyConflictError, UnavailableError
from coffee_core.order import Order
from coffee_core.pipelines.constants import V2
from coffee_core.resources import lua


class Streams:
    """v2: a stream entry, acknowledged."""

    def __init__(self, redis: RedisBackend, dedup_horizon_ms: int) -> None:
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


_FIND = Script(lua("backend.pipelines.v2_streams", "find_order"))

LOOK_MS = 2_000
"""Milliseconds after its message id was made in which the API will have added an order to the stream."""
LOOK_ENTRIES = 1_000
"""Most entries of the stream that one question looks at."""


class StreamsLookup(_OnLog):
    """v2: the memory of keys and the stream, then the row, then whether its entry has been counted."""

    def __init__(self, postgres: PostgresBackend, redis: RedisBackend) -> None:
        super().__init__(postgres, redis, V2)

    async def find(self, message_id: UUID) -> Found | None:
        """Ask Redis first: an order leaves the stream only after it has become a row."""
        text = str(message_id)
        made_ms = str(message_id.int >> 80) if message_id.version == 7 else ""
        known: bool | None
        try:
            names = (keys.STREAM, self._keys.idempotency(text))
            args = (text, made_ms, LOOK_MS, LOOK_ENTRIES)
            known = bool(await self._redis.call(_FIND, names, *args, reading=True))
        except _AWAY:
            known = None
        found, source_id = await self._row(message_id)
        if found.stored:
            return found._replace(shown=await self._is_counted(source_id))
        if known:
            return found._replace(shown=False if found.stored is False else None)
        if known is None or found.stored is None:
            raise UnavailableError("redis and postgres cannot both be asked, and neither knows the order")
        return None

    async def _is_counted(self, source_id: str) -> bool | None:
        # The worker counts an entry and deletes it in one script.
        try:
            return not await self._redis.command("XRANGE", keys.STREAM, source_id, source_id, reading=True)
        except _AWAY:
            return None
