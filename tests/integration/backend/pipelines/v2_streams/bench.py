"""Orders on the stream, and a worker on connections of a test."""

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from redis.asyncio import Redis

from backend.clients.daemon import Database
from backend.pipelines.v2_streams.batch import METRICS
from backend.pipelines.v2_streams.worker import Worker
from coffee_core import keys
from coffee_core.clock import now_us
from coffee_core.ids import new_message_id
from coffee_core.menu import DRINKS, STORES
from coffee_core.order import Order
from tests.integration.shown import latency_count, shown, stored


def order(message_id: UUID | None = None, **changes: Any) -> Order:
    """Make an order; two with the same message id and changes are the same order."""
    some = Order(message_id or new_message_id(), "latte", "uptown", 500, 1_736_935_200_000_000, now_us())
    return replace(some, **changes)


def mixed(count: int, seed: int = 1) -> list[Order]:
    """Make orders of all kinds."""
    dice = random.Random(seed)
    return [
        order(drink=dice.choice(DRINKS), store=dice.choice(STORES), price_cents=dice.randint(1, 1000))
        for _ in range(count)
    ]


async def post(client: Redis, *orders: Order) -> list[str]:
    """Put orders on the stream as the API does; return their entry ids."""
    pipe = client.pipeline(transaction=False)
    for each in orders:
        pipe.xadd(keys.STREAM, each.to_fields())
    return list(await pipe.execute())


async def started(connection: Database, client: Redis, name: str = "test-1", batch_orders: int = 1000) -> Worker:
    """Return a worker that has just started."""
    worker = Worker(connection, client, name, batch_orders)
    await worker.start()
    return worker


async def drain(worker: Worker, client: Redis) -> None:
    """Let a worker work until the stream is empty."""
    while await client.xlen(keys.STREAM):
        await worker.step()


async def counters(client: Redis) -> Mapping[str, int]:
    """Return the counters of the lab; the claim on a reconciliation beside them is no number."""
    found = await client.hgetall(METRICS.counters)
    return {field: int(value) for field, value in found.items() if field != "cut"}


async def dead(client: Redis) -> list[dict[str, str]]:
    """Return the dead letters."""
    return [fields for _, fields in await client.xrange(keys.DEAD_STREAM)]


async def assert_exact(connection: Database, client: Redis, orders: int) -> None:
    """Rows, all six metrics and the latency histogram agree on this many orders, and nothing is in flight."""
    rows = await stored(connection, "v2")
    assert rows.orders == orders
    assert await shown(client, METRICS) == rows
    assert await latency_count(client, METRICS) == orders
    assert await client.xlen(keys.STREAM) == 0
    assert (await client.xpending(keys.STREAM, keys.STREAM_GROUP))["pending"] == 0
