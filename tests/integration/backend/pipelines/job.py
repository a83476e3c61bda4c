"""A Flink job for tests, one step at a time: what it stores, and what it shows by its own script."""

import json

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from backend.clients.daemon import Database
from backend.pipelines.audit import audit
from backend.pipelines.balance import Balance
from coffee_core.clock import to_datetime
from coffee_core.keys import DEAD_TOPIC, FLINK_GROUP, TOPIC, MetricKeys
from coffee_core.order import Order
from coffee_core.pipelines.constants import V3
from coffee_core.settings import Settings
from tests.integration.backend.pipelines.v2_streams.bench import mixed
from tests.integration.flink.rows import show

KEYS = MetricKeys(V3)
INSERT = """
    insert into orders (version, message_id, drink, store, price_cents, ordered_at, accepted_at, source_id)
    values ('v3', $1, $2, $3, $4, $5, $6, $7)
"""


class Job:
    """What the Flink job does, one step at a time."""

    def __init__(self, settings: Settings, connection: Database, producer: AIOKafkaProducer) -> None:
        self.settings = settings
        self._connection = connection
        self._producer = producer

    async def accept(self, *orders: Order) -> list[str]:
        """Put orders on the topic; return their places."""
        return [
            await self.put(str(order.message_id).encode(), json.dumps(order.to_fields()).encode())
            for order in orders
        ]

    async def put(self, key: bytes, value: bytes, topic: str = TOPIC, partition: int | None = None) -> str:
        """Put a record on a topic, and return its place."""
        sent = await self._producer.send_and_wait(topic, value, key, partition)
        return f"{sent.partition}:{sent.offset}"

    async def bury(self, origin: str, text: str, reason: str = "the value is no JSON object") -> None:
        """Write a dead letter."""
        letter = {"reason": reason, "partition": int(origin.split(":")[0]), "text": text}
        await self.put(origin.encode(), json.dumps(letter).encode(), DEAD_TOPIC)

    async def store(self, orders: list[Order], places: list[str]) -> None:
        """Insert rows."""
        for order, place in zip(orders, places, strict=True):
            times = (to_datetime(order.ordered_at_us), to_datetime(order.accepted_at_us))
            fields = (order.drink, order.store, order.price_cents)
            await self._connection.execute(INSERT, order.message_id, *fields, *times, place)

    def show(self, orders: list[Order], repeats: int = 0, dead: int = 0) -> None:
        """Write the totals of these orders as the job writes them."""
        show(self.settings.redis_url, orders, repeats, dead)

    async def commit(self) -> None:
        """Commit the ends of the topic, as a completed checkpoint does."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.settings.kafka_servers, group_id=FLINK_GROUP, enable_auto_commit=False
        )
        partitions = [TopicPartition(TOPIC, number) for number in range(self.settings.topic_partitions)]
        consumer.assign(partitions)
        await consumer.start()
        try:
            await consumer.commit(await consumer.end_offsets(partitions))
        finally:
            await consumer.stop()

    async def look(self, **how: bool) -> Balance:
        """Take the balance."""
        (balance,) = await audit(self.settings, (V3,), settle_s=0, **how)
        return balance


async def done_with(job: Job, count: int = 6) -> tuple[list[Order], list[str]]:
    """Orders that were accepted, stored and shown, one of them repeated, and a dead letter."""
    orders = mixed(count)
    places = await job.accept(*orders)
    await job.accept(orders[0])
    await job.bury(await job.put(b"x", b"garbage"), "garbage")
    await job.store(orders, places)
    job.show(orders, repeats=1, dead=1)
    await job.commit()
    return orders, places
