"""Puts orders straight into a log, while nobody works on it: the API would be the bottleneck."""

import asyncio
import json
import random
from typing import Any

from aiokafka import AIOKafkaProducer

from backend.daemon import open_redis
from coffee_core.clock import now_us
from coffee_core.ids import new_message_id
from coffee_core.keys import STREAM, TOPIC
from coffee_core.menu import DRINKS, STORES
from coffee_core.order import Order
from coffee_core.settings import Settings

_AT_ONCE = 1_000
_MAX_BATCH_BYTES = 256 * 1024


async def fill_stream(settings: Settings, orders: int) -> None:
    """Add so many orders to the stream of v2. Raises RedisError."""
    async with open_redis(settings.redis_url) as client:
        for first in range(0, orders, _AT_ONCE):
            pipe = client.pipeline(transaction=False)
            for _ in range(min(_AT_ONCE, orders - first)):
                fields: dict[Any, Any] = dict(_order().to_fields())
                pipe.xadd(STREAM, fields)
            await pipe.execute()


async def fill_topic(settings: Settings, orders: int) -> None:
    """Add so many orders to the topic of v3. Raises KafkaError."""
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.kafka_servers,
        acks="all",
        enable_idempotence=True,
        max_batch_size=_MAX_BATCH_BYTES,
    )
    await producer.start()
    try:
        for first in range(0, orders, _AT_ONCE):
            sent = []
            for _ in range(min(_AT_ONCE, orders - first)):
                order = _order()
                key, value = str(order.message_id).encode(), json.dumps(order.to_fields()).encode()
                sent.append(await producer.send(TOPIC, value, key))
            await asyncio.gather(*sent)
    finally:
        await producer.stop()


def _order() -> Order:
    now = now_us()
    drink, store = random.choice(DRINKS), random.choice(STORES)
    return Order(new_message_id(), drink, store, random.randrange(250, 650), now, now)
