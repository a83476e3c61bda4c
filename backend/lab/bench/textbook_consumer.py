"""``python -m backend.lab.bench.textbook_consumer TOPIC ORDERS [--summed]``: a consumer as a textbook has it.

A yardstick. For each record a ``json.loads`` and the six increments of the metrics, all those of one read in one
pipeline; the offsets are committed by aiokafka's timer. It stores no row, drops no repeat, and after a crash it
counts again what it has counted since the last commit. With ``--summed`` it adds up each read first, and adds to
each field once: what such a consumer could be brought to, with the same faults. It counts as the one of ``peers``.

Prints the orders counted each second, from the first read to the last answer of Redis.
"""

import asyncio
import sys
import time

from aiokafka import AIOKafkaConsumer
from redis.asyncio import Redis

from backend.clients.daemon import open_redis
from backend.lab.bench.peers.topic_consumer import add, increments, summed
from coffee_core.ids import new_message_id
from coffee_core.settings import Settings

SUMMED = "--summed"
_PREFIX = "bench:textbook:"
_KEYS = ("total_orders", "total_revenue", "drink_counts", "drink_revenue", "store_counts", "store_revenue")


async def _count(consumer: AIOKafkaConsumer, redis: Redis, most: int, *, in_sums: bool) -> float:
    """Count so many orders; return how many of them a second."""
    orders, started_s = 0, 0.0
    while orders < most:
        found = await consumer.getmany(timeout_ms=500)
        started_s = started_s or time.perf_counter()
        records = [record for of_partition in found.values() for record in of_partition]
        of_all = [increment for record in records for increment in increments(record.value)]
        await add(redis, _PREFIX, summed(of_all) if in_sums else of_all)
        orders += len(records)
    return orders / (time.perf_counter() - started_s)


async def _main(topic: str, most: int, *, in_sums: bool) -> None:
    settings = Settings.attach()
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=settings.kafka_servers,
        group_id=f"textbook-{new_message_id()}",
        auto_offset_reset="earliest",
    )
    async with open_redis(settings.redis_url) as redis:
        await consumer.start()
        try:
            sys.stdout.write(f"{await _count(consumer, redis, most, in_sums=in_sums)}\n")
        finally:
            await consumer.stop()
            await redis.delete(*(_PREFIX + name for name in _KEYS))


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], int(sys.argv[2]), in_sums=SUMMED in sys.argv[3:]))
