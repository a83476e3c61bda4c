"""v3's and v4's peer, its consumer: aiokafka reads the topic, Redis has the totals.

The offsets are committed by aiokafka's timer. It stores no row and drops no repeat.
"""

import asyncio
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator

from aiokafka import AIOKafkaConsumer
from redis.asyncio import Redis

Increment = tuple[str, str, int]
"""Key, field of a hash or nothing, amount."""


def increments(value: bytes) -> Iterator[Increment]:
    """Yield what an order adds to the metrics."""
    order = json.loads(value)
    cents = order["price_cents"]
    for kind in ("drink", "store"):
        yield f"{kind}_counts", order[kind], 1
        yield f"{kind}_revenue", order[kind], cents
    yield "total_revenue", "", cents
    yield "total_orders", "", 1


def summed(found: Iterable[Increment]) -> list[Increment]:
    """Add up what goes to the same field."""
    sums: Counter[tuple[str, str]] = Counter()
    for key, field, amount in found:
        sums[key, field] += amount
    return [(key, field, amount) for (key, field), amount in sums.items()]


async def add(redis: Redis, prefix: str, found: Iterable[Increment]) -> None:
    """Add all of it to the metrics, in one pipeline."""
    async with redis.pipeline(transaction=False) as pipe:
        for key, field, amount in found:
            if field:
                pipe.hincrby(prefix + key, field, amount)
            else:
                pipe.incrby(prefix + key, amount)
        await pipe.execute()


async def main() -> None:
    """Count until a signal ends it."""
    redis = Redis.from_url(os.environ["REDIS_URL"])
    servers = os.environ["KAFKA_BOOTSTRAP_SERVERS"]
    async with AIOKafkaConsumer(
        "peer-topic", bootstrap_servers=servers, group_id="peer", auto_offset_reset="earliest"
    ) as consumer:
        while True:
            found = await consumer.getmany(timeout_ms=500)
            values = [record.value for of_partition in found.values() for record in of_partition]
            await add(redis, "peer-topic:metrics:", summed(one for value in values for one in increments(value)))


if __name__ == "__main__":
    asyncio.run(main())
