"""v3 before a real Kafka: the audit and the dead letters, with the job's own script for what it shows."""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from redis.asyncio import Redis

from backend.daemon import Database
from backend.lab.audit import audit
from backend.lab.audit_balance import Balance
from backend.lab.dead_letters import Letter, new_message_id
from backend.lab.dead_letters_box import deal_with
from backend.lab.reconcile import reconcile
from backend.stack import kafka as kafka_stack
from backend.stack.topics import create_topics
from coffee_core.clock import to_datetime
from coffee_core.keys import DEAD_TOPIC, FLINK_GROUP, TOPIC, MetricKeys
from coffee_core.menu import DRINKS, STORES
from coffee_core.order import Order
from coffee_core.pipelines import Pipeline
from coffee_core.settings import Settings
from coffee_core.tally import Tally
from flink.redis_tally import SHOWN, RedisTally
from tests.integration.stream_worker.bench import mixed
from tests.servers import free_port, serving

KEYS = MetricKeys(Pipeline.V3)
INSERT = """
    insert into orders (version, message_id, drink, store, price_cents, ordered_at, accepted_at, source_id)
    values ('v3', $1, $2, $3, $4, $5, $6, $7)
"""


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    folder = tmp_path_factory.mktemp("kafka server")
    ports = {f"COFFEE_KAFKA_{name}PORT": str(free_port()) for name in ("", "CONTROLLER_")}
    settings = Settings.from_env({"COFFEE_HOME": str(folder), **ports})
    with serving(kafka_stack.part(settings), settings, folder / "log", within_s=90):
        yield settings


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

    async def put(self, key: bytes, value: bytes, topic: str = TOPIC) -> str:
        """Put a record on a topic."""
        sent = await self._producer.send_and_wait(topic, value, key)
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
        tally = Tally.of(orders)
        cells: list[int] = []
        for names, counts, cents in (
            (DRINKS, tally.drink_counts, tally.drink_revenue_cents),
            (STORES, tally.store_counts, tally.store_revenue_cents),
        ):
            for name in names:
                cells += (counts[name], cents[name])
        accepted = sum(order.accepted_at_us for order in orders)
        writer = RedisTally(self.settings.redis_url, "1")
        try:
            row = (tally.orders, tally.revenue_cents, *cells, str(accepted), len(orders) + repeats, dead)
            assert writer.show(row) == SHOWN
        finally:
            writer.close()

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
        (balance,) = await audit(self.settings, (Pipeline.V3,), settle_s=0, **how)
        return balance


@pytest.fixture
async def job(
    tmp_path: Path, broker: Settings, settings: Settings, connection: Database, client: Redis
) -> AsyncIterator[Job]:
    """A job before empty topics."""
    servers = broker.kafka_servers
    settings = replace(settings, given_kafka_servers=servers)
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        await admin.delete_topics([TOPIC, DEAD_TOPIC])
        await create_topics(settings)
    finally:
        await admin.close()
    await client.set(KEYS.fence, "1")
    producer = AIOKafkaProducer(bootstrap_servers=servers)
    await producer.start()
    yield Job(settings, connection, producer)
    await producer.stop()


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


async def test_everything_that_was_accepted_is_somewhere(job: Job) -> None:
    orders, _ = await done_with(job)
    await job.accept(*mixed(2, seed=2))
    balance = await job.look(deep=True)
    assert balance.balanced, balance
    assert (balance.accepted, balance.stored.orders, balance.shown) == (10, 6, Tally.of(orders))
    assert (balance.duplicates_dropped, balance.dead_letters, balance.in_flight) == (1, 1, 2)
    assert balance.deep is not None
    assert balance.deep.compared == 10


async def test_a_deleted_row_is_lost_and_named(job: Job, connection: Database) -> None:
    orders, places = await done_with(job)
    await connection.execute("delete from orders where message_id = $1", orders[2].message_id)
    balance = await job.look(deep=True)
    assert (balance.lost_orders, balance.lost, balance.balanced) == (1, Tally.of(orders[2:3]), False)
    assert balance.deep is not None
    assert balance.deep.lost_ids == [places[2]]
    done = await reconcile(job.settings, Pipeline.V3, settle_s=0)
    assert (done.mended, done.orders, "coffee replay v3" in done.advice) == (False, -1, True)


async def test_rows_may_follow_until_the_next_checkpoint(job: Job) -> None:
    orders, _ = await done_with(job)
    more = mixed(2, seed=2)
    places = await job.accept(*more)
    job.show([*orders, *more], repeats=1, dead=1)
    balance = await job.look(deep=True)
    assert balance.balanced, balance
    assert "2 shown orders have yet to become rows" in balance.notes[0]
    await job.commit()
    balance = await job.look(deep=True)
    assert (balance.lost_orders, balance.drift.orders) == (2, 2)
    assert balance.deep is not None
    assert sorted(balance.deep.lost_ids) == sorted(places)


async def test_a_row_that_was_changed_is_found_id_by_id(job: Job, connection: Database) -> None:
    orders, places = await done_with(job)
    await connection.execute("alter table orders_v3 disable trigger all")
    await connection.execute("update orders set ordered_at = now() where message_id = $1", orders[1].message_id)
    assert (await job.look()).balanced
    balance = await job.look(deep=True)
    assert balance.deep is not None
    assert (balance.balanced, balance.deep.altered_ids) == (False, [places[1]])


async def test_a_second_row_of_one_record_is_a_duplicate(job: Job) -> None:
    orders, places = await done_with(job)
    await job.store([replace(orders[0], message_id=UUID(int=1))], places[:1])
    balance = await job.look(deep=True)
    assert (balance.duplicated, balance.lost_orders, balance.drift.orders) == (Tally.of(orders[:1]), 0, -1)
    assert balance.deep is not None
    assert balance.deep.unlogged == 1


async def test_a_key_that_was_counted_up_is_drift(job: Job, client: Redis) -> None:
    await done_with(job)
    await client.hincrby(KEYS.store_counts, "uptown", 1)
    balance = await job.look()
    assert (balance.lost_orders, balance.drift.store_counts["uptown"], balance.balanced) == (0, 1, False)


async def test_a_deleted_topic_is_a_lost_log(job: Job, broker: Settings) -> None:
    await done_with(job)
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.kafka_servers)
    await admin.start()
    await admin.delete_topics([TOPIC])
    await admin.close()
    balance = await job.look()
    assert (balance.log_short, balance.lost_orders, balance.in_flight, balance.balanced) == (8, 0, 0, False)


async def letters(job: Job, action: str | None = None, *ids: str, **repairs: str) -> list[tuple[Letter, str]]:
    return await deal_with(job.settings, Pipeline.V3, ids, action, repairs)


async def test_letters_go_back_once_and_are_not_listed_again(job: Job) -> None:
    (mine,) = mixed(1, seed=3)
    text = json.dumps({**mine.to_fields(), "price_cents": -5})
    origin = await job.put(b"x", text.encode())
    await job.bury(origin, text, "price_cents")
    await job.bury(origin, text, "price_cents")  # after a restore it may stand there twice
    job.show([], dead=1)
    ((letter, _),) = await letters(job)
    assert (letter.origin, letter.reason, letter.fields["price_cents"]) == (origin, "price_cents", -5)
    ((_, outcome),) = await letters(job, "requeue", price_cents="450")
    assert await letters(job) == []
    repaired = replace(mine, price_cents=450)
    await job.store([repaired], [outcome.removeprefix("requeued as ")])
    job.show([repaired], dead=1)
    balance = await job.look(deep=True)
    assert balance.balanced, balance
    assert (balance.accepted, balance.stored.orders, balance.dead_letters) == (2, 1, 1)


async def test_a_letter_does_not_hide_behind_another_order_of_its_id(job: Job, client: Redis) -> None:
    orders, _ = await done_with(job)
    text = json.dumps({**orders[0].to_fields(), "price_cents": 0})
    origin = await job.put(b"x", text.encode())
    await job.bury(origin, text)
    await letters(job, "requeue", origin, price_cents="999")
    found = [json.loads(value) async for value in values(job)]
    assert found[-1]["message_id"] == str(new_message_id(Pipeline.V3, origin))


async def values(job: Job) -> AsyncIterator[bytes]:
    """Read every value of the topic that is JSON, the newest last."""
    from backend.lab.audit_kafka import open_logs

    async with open_logs(job.settings) as logs:
        records = [each async for batch in logs.records(TOPIC, await logs.bounds(TOPIC)) for each in batch]
    for record in sorted(records, key=lambda each: each.time_ms):
        if record.value and record.value.startswith(b"{"):
            yield record.value


async def test_what_cannot_go_back_is_kept_until_it_is_dropped(job: Job) -> None:
    await done_with(job)
    ((letter, outcome),) = await letters(job, "requeue")
    assert outcome.startswith("kept: ")
    assert [outcome for _, outcome in await letters(job, "drop", letter.id)] == ["dropped"]
    assert await letters(job) == []
    assert (await job.look(deep=True)).balanced
