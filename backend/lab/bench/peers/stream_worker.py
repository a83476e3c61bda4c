"""v2's peer, its worker: FastStream takes the stream in batches, asyncpg stores the rows, Redis has the totals.

What a worker has taken and not acknowledged is taken again once it has been idle for five seconds.
"""

import asyncio
import logging
import os
from collections import Counter
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import asyncpg
from faststream import Context, ContextRepo, FastStream
from faststream.redis import RedisBroker, StreamSub
from pydantic import BaseModel
from redis.asyncio import Redis


class Order(BaseModel):
    """The fields of an entry."""

    message_id: UUID
    drink: str
    store: str
    price_cents: int
    ordered_at_us: int

    @property
    def ordered_at(self) -> datetime:
        """The time as PostgreSQL has it."""
        return datetime.fromtimestamp(self.ordered_at_us / 1e6, UTC)


logger = logging.getLogger("peer")  # warnings and errors: not two lines a batch
broker = RedisBroker(os.environ["REDIS_URL"], logger=logger)
app = FastStream(broker, logger=logger)
redis = Redis.from_url(os.environ["REDIS_URL"])


@app.on_startup
async def connect(context: ContextRepo) -> None:
    """Open the pool of connections."""
    context.set_global("pool", await asyncpg.create_pool(os.environ["DATABASE_URL"]))


@broker.subscriber(stream=StreamSub("peer-stream", group="peer", consumer="1", batch=True, max_records=1_000))
@broker.subscriber(stream=StreamSub("peer-stream", group="peer", consumer="1", batch=True, min_idle_time=5_000))
async def count(orders: list[Order], pool: Annotated[asyncpg.Pool, Context()]) -> None:
    """Store a batch and count it; FastStream acknowledges it afterwards."""
    rows = [(order.message_id, order.drink, order.store, order.price_cents, order.ordered_at) for order in orders]
    await pool.executemany("INSERT INTO peer_stream VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING", rows)
    sums: Counter[tuple[str, str]] = Counter()
    for order in orders:
        sums["drink_counts", order.drink] += 1
        sums["drink_revenue", order.drink] += order.price_cents
        sums["store_counts", order.store] += 1
        sums["store_revenue", order.store] += order.price_cents
    async with redis.pipeline(transaction=False) as pipe:
        for (key, field), amount in sums.items():
            pipe.hincrby(f"peer-stream:metrics:{key}", field, amount)
        pipe.incrby("peer-stream:metrics:total_revenue", sum(order.price_cents for order in orders))
        pipe.incrby("peer-stream:metrics:total_orders", len(orders))
        await pipe.execute()


if __name__ == "__main__":
    asyncio.run(app.run())
