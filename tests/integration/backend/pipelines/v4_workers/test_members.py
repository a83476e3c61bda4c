"""v4 before a real Kafka: members of both groups that come, crash and go, while records keep coming."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from redis.asyncio import Redis

from backend.pipelines.audit import audit
from backend.pipelines.balance import Balance
from backend.pipelines.operations import operations_of
from backend.pipelines.topic.lag import TopicLag
from backend.pipelines.topic.letters import LONGEST_TEXT
from backend.pipelines.v4_workers.aggregator import run_aggregator
from backend.pipelines.v4_workers.worker import run_worker
from coffee_core.errors import UnavailableError
from coffee_core.keys import AGGREGATOR_GROUP, WORKER_GROUP, WORKERS_TOPIC
from coffee_core.order import Order
from coffee_core.pipelines.constants import V4
from coffee_core.runstate import READY_FILE
from coffee_core.settings import Settings
from coffee_core.tasks import end_tasks
from tests.integration.backend.pipelines.repairs import settle_dead_letters
from tests.integration.backend.pipelines.v2_streams.bench import mixed
from tests.integration.backend.pipelines.v4_workers.groups import encode
from tests.waiting import until

WITHIN_S = 60.0
GROUPS = (WORKER_GROUP, AGGREGATOR_GROUP)


@asynccontextmanager
async def members(settings: Settings) -> AsyncIterator[None]:
    """Run a member of each group; it ends as a killed one does, without a word to anybody."""
    stop = asyncio.Event()
    tasks = [asyncio.create_task(run(stop, settings)) for run in (run_worker, run_aggregator)]
    try:
        yield
    finally:
        await end_tasks(*tasks, ask_again_s=10)


@asynccontextmanager
async def producing(settings: Settings) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka_servers, acks="all")
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def accept(producer: AIOKafkaProducer, *orders: Order) -> None:
    for order in orders:
        await producer.send_and_wait(WORKERS_TOPIC, encode(order), str(order.message_id).encode())


async def at_rest(settings: Settings, orders: int) -> Balance:
    """Return the balance once so many orders are stored and shown, and nothing is in flight."""

    async def look() -> Balance | None:
        (balance,) = await audit(settings, (V4,), settle_s=0, deep=True)
        done = balance.stored.orders == balance.shown.orders == orders and not balance.in_flight
        return balance if done and balance.balanced else None

    found = await until(look, WITHIN_S)
    assert found is not None
    return found


async def test_a_member_is_ready_once_it_has_its_partitions(
    kafka_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready, stop = tmp_path / "ready", asyncio.Event()
    monkeypatch.setenv(READY_FILE, str(ready))
    async with AsyncExitStack() as stack:
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka_settings.kafka_servers)
        await admin.start()
        stack.push_async_callback(admin.close)
        running = asyncio.create_task(run_aggregator(stop, kafka_settings))
        stack.push_async_callback(end_tasks, running)
        await until(ready.exists)
        (described,) = await admin.describe_consumer_groups([AGGREGATOR_GROUP])
        (group,) = described.to_object()["groups"]
        assert group["state"] == "Stable"
        stop.set()
        await running


async def test_members_come_and_crash_and_letters_go_back(kafka_settings: Settings, client: Redis) -> None:
    orders = mixed(60)
    async with producing(kafka_settings) as producer:
        async with members(kafka_settings):
            await accept(producer, *orders[:20], *orders[:3])
            await at_rest(kafka_settings, 20)
            await accept(producer, *orders[20:40])  # perhaps in hand when they crash
        bad = {**orders[40].to_fields(), "price_cents": -5}
        await producer.send_and_wait(WORKERS_TOPIC, json.dumps(bad).encode(), str(bad["message_id"]).encode())
        await accept(producer, replace(orders[0], price_cents=999), *orders[41:50])
        second = replace(kafka_settings, worker_name="second")
        async with members(kafka_settings), members(second):
            await accept(producer, *orders[50:])
            balance = await at_rest(kafka_settings, 59)
            assert (balance.accepted, balance.duplicates_dropped, balance.dead_letters) == (64, 3, 2)
            listed = await settle_dead_letters(kafka_settings, V4, (), None, {})
            reasons = sorted(letter.reason for letter, _ in listed)
            assert reasons[0] == "key-conflict"
            assert reasons[1].startswith("price_cents: must be")
            done = await settle_dead_letters(kafka_settings, V4, (), "requeue", {"price_cents": "450"})
            assert all(outcome.startswith("requeued as") for _, outcome in done)
            balance = await at_rest(kafka_settings, 61)
            assert await settle_dead_letters(kafka_settings, V4, (), None, {}) == []
            replayed = await operations_of(V4).replay(kafka_settings, lambda _done, _total: None)
            assert "61 orders" in replayed.summary
            assert (await at_rest(kafka_settings, 61)).shown == balance.shown


async def test_a_transaction_that_was_taken_back_holds_nothing_up(kafka_settings: Settings) -> None:
    orders = mixed(6)
    taken_back = AIOKafkaProducer(bootstrap_servers=kafka_settings.kafka_servers, transactional_id="taken back")
    await taken_back.start()
    async with producing(kafka_settings) as producer, members(kafka_settings):
        await accept(producer, *orders[:3])
        await taken_back.begin_transaction()
        await taken_back.send_and_wait(WORKERS_TOPIC, encode(orders[3]), b"x", partition=0)
        await taken_back.abort_transaction()
        balance = await at_rest(kafka_settings, 3)
        assert balance.accepted == 3
        await accept(producer, *orders[4:])
        await at_rest(kafka_settings, 5)
    await taken_back.stop()


async def test_members_crash_while_others_join(kafka_settings: Settings) -> None:
    orders = mixed(90)
    second, third = (replace(kafka_settings, worker_name=name) for name in ("second", "third"))
    async with producing(kafka_settings) as producer, members(second), AsyncExitStack() as joined:
        async with members(kafka_settings):
            await accept(producer, *orders[:30])
            await at_rest(kafka_settings, 30)
            await joined.enter_async_context(members(third))
            await accept(producer, *orders[30:60])
        # Those two crashed while the groups shared out their partitions for the third.
        await accept(producer, *orders[60:], *orders[:10])
        balance = await at_rest(kafka_settings, 90)
        assert (balance.accepted, balance.duplicates_dropped) == (100, 10)


async def test_partitions_that_were_added_are_read_also_when_the_one_that_led_was_killed(
    kafka_settings: Settings,
) -> None:
    few = replace(kafka_settings, topic_partitions=2)
    orders = mixed(60)
    admin = AIOKafkaAdminClient(bootstrap_servers=few.kafka_servers)
    await admin.start()
    try:
        async with members(few), producing(few) as producer:
            await accept(producer, *orders[:20])
            await at_rest(few, 20)
        # Within the session of the one before: its partitions wait for it, and nobody shares them out.
        async with members(few), producing(few) as producer:
            await accept(producer, *orders[20:30])
            await at_rest(few, 30)
            (about,) = await admin.describe_topics([WORKERS_TOPIC])
            more = len(about["partitions"]) + 2
            await admin.create_partitions({WORKERS_TOPIC: NewPartitions(more)})
            await producer.client.force_metadata_update()
            for at, order in enumerate(orders[30:]):
                await producer.send_and_wait(WORKERS_TOPIC, encode(order), partition=more - 1 - at % 2)
            await at_rest(few, 60)
    finally:
        await admin.close()


async def test_a_record_of_characters_that_grow_when_they_are_escaped_is_a_letter(
    kafka_settings: Settings,
) -> None:
    bad = json.dumps({"message_id": "\U0001f600" * LONGEST_TEXT}, ensure_ascii=False).encode()
    async with producing(kafka_settings) as producer, members(kafka_settings):
        await producer.send_and_wait(WORKERS_TOPIC, bad, b"x")
        await accept(producer, *mixed(3))
        balance = await at_rest(kafka_settings, 3)
        assert balance.dead_letters == 1
        ((letter, _),) = await settle_dead_letters(kafka_settings, V4, (), None, {})
        assert letter.text == bad.decode()[:LONGEST_TEXT]


async def test_two_members_under_one_name_are_exact(kafka_settings: Settings) -> None:
    orders = mixed(60)
    same = replace(kafka_settings, worker_name="same")
    async with producing(kafka_settings) as producer, members(same):
        await accept(producer, *orders[:20])
        await at_rest(kafka_settings, 20)
        async with members(same):
            await accept(producer, *orders[20:40], *orders[:5])
            await at_rest(kafka_settings, 40)
        await accept(producer, *orders[40:])
        balance = await at_rest(kafka_settings, 60)
        assert (balance.accepted, balance.duplicates_dropped) == (65, 5)


async def test_lag_is_of_each_partition_and_names_who_reads_it(kafka_settings: Settings) -> None:
    lag = TopicLag(kafka_settings, WORKERS_TOPIC, dict.fromkeys(GROUPS, ""))

    async def waits() -> list[int]:
        rows = await lag.read()
        return [sum(row.waiting or 0 for row in rows if row.group == group) for group in GROUPS]

    async def nothing_waits() -> bool:
        # Offsets that the groups have of an older topic of this name say nothing.
        return all(row.waiting == 0 for row in await lag.read())

    try:
        async with producing(kafka_settings) as producer:
            await accept(producer, *mixed(30)[:20])
            async with members(kafka_settings):
                await until(nothing_waits)
                rows = await lag.read()
            await accept(producer, *mixed(30)[20:])
            assert await waits() == [10, 10]
        assert {row.group for row in rows} == set(GROUPS)
        assert all(row.consumer and row.consumer.startswith("coffee-") for row in rows)
        away = TopicLag(
            replace(kafka_settings, given_kafka_servers="127.0.0.1:9"), WORKERS_TOPIC, {WORKER_GROUP: ""}
        )
        with pytest.raises(UnavailableError):
            await away.read()
    finally:
        await lag.close()
