"""v3 before a real Kafka: the audit, with the job's own script for what it shows."""

import json
from dataclasses import replace
from uuid import UUID, uuid4

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from redis.asyncio import Redis

from backend.clients.daemon import Database
from backend.clients.kafka import commit_offsets
from backend.stack.topics import create_topics
from coffee_core.clock import MAX_TIME_US
from coffee_core.keys import FLINK_GROUP, TOPIC
from coffee_core.pipelines.constants import V3
from coffee_core.settings import Settings
from coffee_core.totals import Totals
from tests.integration.backend.pipelines.job import KEYS, Job, done_with
from tests.integration.backend.pipelines.repairs import reconcile
from tests.integration.backend.pipelines.v2_streams.bench import mixed


async def test_everything_that_was_accepted_is_somewhere(job: Job) -> None:
    orders, _ = await done_with(job)
    await job.accept(*mixed(2, seed=2))
    balance = await job.look(deep=True)
    assert balance.balanced, balance
    assert (balance.accepted, balance.stored.orders, balance.shown) == (10, 6, Totals.of(orders))
    assert (balance.duplicates_dropped, balance.dead_letters, balance.in_flight) == (1, 1, 2)
    assert balance.deep is not None
    assert balance.deep.compared == 10


async def test_a_deleted_row_is_lost_and_named(job: Job, connection: Database) -> None:
    orders, places = await done_with(job)
    await connection.execute("delete from orders where message_id = $1", orders[2].message_id)
    balance = await job.look(deep=True)
    assert (balance.lost, balance.lost_totals, balance.balanced) == (1, Totals.of(orders[2:3]), False)
    assert balance.deep is not None
    assert balance.deep.lost_ids == [places[2]]
    done = await reconcile(job.settings, V3, settle_s=0)
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
    assert (balance.lost, balance.drift.orders) == (2, 2)
    assert balance.deep is not None
    assert sorted(balance.deep.lost_ids) == sorted(places)


async def test_a_record_that_the_job_passed_over_is_lost_and_named(job: Job) -> None:
    await done_with(job)
    (place,) = await job.accept(*mixed(1, seed=2))
    await job.commit()
    balance = await job.look(deep=True)
    assert balance.deep is not None
    assert (balance.balanced, balance.deep.lost_ids) == (False, [place])


async def test_a_row_that_was_changed_is_found_id_by_id(job: Job, connection: Database) -> None:
    orders, places = await done_with(job)
    await connection.execute("alter table orders_v3 disable trigger all")
    later = "update orders set ordered_at = ordered_at + interval '1 s' where message_id = $1"
    await connection.execute(later, orders[1].message_id)
    assert (await job.look()).balanced
    balance = await job.look(deep=True)
    assert balance.deep is not None
    assert (balance.balanced, balance.deep.altered_ids) == (False, [places[1]])


async def test_a_row_at_the_last_microsecond_is_what_the_log_says(job: Job, connection: Database) -> None:
    (order,) = mixed(1, seed=3)
    await job.store([order], await job.accept(replace(order, ordered_at_us=MAX_TIME_US)))
    await connection.execute("alter table orders_v3 disable trigger all")
    # As the job writes it; asyncpg would make it PostgreSQL's infinity.
    await connection.execute("update orders set ordered_at = '9999-12-31 23:59:59.999999+00'")
    balance = await job.look(deep=True)
    assert balance.deep is not None
    assert (balance.deep.compared, balance.deep.altered_ids, balance.deep.lost_ids) == (1, [], [])


async def test_a_second_row_of_one_record_is_a_duplicate(job: Job) -> None:
    orders, places = await done_with(job)
    await job.store([replace(orders[0], message_id=UUID(int=1))], places[:1])
    balance = await job.look(deep=True)
    assert (balance.duplicated, balance.lost, balance.drift.orders) == (Totals.of(orders[:1]), 0, -1)
    assert balance.deep is not None
    assert balance.deep.unlogged == 1


async def test_a_key_that_was_counted_up_is_drift(job: Job, client: Redis) -> None:
    await done_with(job)
    await client.hincrby(KEYS.store_counts, "uptown", 1)
    balance = await job.look()
    assert (balance.lost, balance.drift.store_counts["uptown"], balance.balanced) == (0, 1, False)


async def test_what_a_transaction_took_back_and_its_markers_are_no_records(job: Job, client: Redis) -> None:
    orders, _ = await done_with(job)
    kept, taken_back = mixed(2, seed=2)
    async with AIOKafkaProducer(
        bootstrap_servers=job.settings.kafka_servers, transactional_id=f"of {kept.message_id}"
    ) as other:
        key = str(kept.message_id).encode()
        async with other.transaction():
            sent = await other.send_and_wait(TOPIC, json.dumps(kept.to_fields()).encode(), key)
        await other.begin_transaction()
        await other.send_and_wait(TOPIC, json.dumps(taken_back.to_fields()).encode(), key)
        await other.abort_transaction()
    await job.store([kept], [f"{sent.partition}:{sent.offset}"])
    job.show([*orders, kept], repeats=1, dead=1)
    # Two markers and what was taken back: not told apart from records while the job may be at work.
    assert (await job.look()).in_flight == 3
    # As the job commits it: up to its last record.
    await commit_offsets(job.settings, FLINK_GROUP, TOPIC, {sent.partition: sent.offset + 1})
    await client.hset(KEYS.counters, "last_update_us", "1")  # type: ignore[misc]
    balance = await job.look(deep=True)
    assert (balance.accepted, balance.in_flight, balance.lost, balance.balanced) == (9, 0, 0, True)
    assert "3 offsets of the topic hold nothing" in balance.notes[0]
    assert balance.deep is not None
    assert (balance.deep.compared, balance.deep.agrees) == (9, True)


async def test_behind_a_transaction_that_is_open_everything_waits_and_it_is_named(job: Job, client: Redis) -> None:
    await done_with(job)
    await client.hset(KEYS.counters, "last_update_us", "1")  # type: ignore[misc]
    async with AIOKafkaProducer(
        bootstrap_servers=job.settings.kafka_servers, transactional_id=f"of {uuid4()}"
    ) as other:
        await other.begin_transaction()
        await other.send_and_wait(TOPIC, b"unknown yet", partition=0)
        await job.put(b"", b"after it", partition=0)
        balance = await job.look(deep=True)
        assert (balance.in_flight, balance.balanced) == (2, True)
        assert "a transaction is open on the topic" in balance.notes[-1]
        await other.abort_transaction()
    balance = await job.look()
    assert balance.in_flight == 1
    assert not any("is open" in note for note in balance.notes)


async def test_of_a_topic_that_was_made_anew_the_log_is_lost_and_no_order(job: Job) -> None:
    orders, _ = await done_with(job)
    admin = AIOKafkaAdminClient(bootstrap_servers=job.settings.kafka_servers)
    await admin.start()
    await admin.delete_topics([TOPIC])
    await create_topics(job.settings)
    await admin.close()
    others = mixed(6, seed=2)
    await job.store(others, await job.accept(*others))
    job.show([*orders, *others], repeats=1, dead=1)
    balance = await job.look()
    assert (balance.log_short, balance.lost, balance.duplicated.orders, balance.drift.orders) == (8, 0, 0, 0)
    assert not balance.balanced
    assert "which cannot be told" in balance.notes[0]


async def test_a_deleted_topic_is_a_lost_log(job: Job, broker: Settings) -> None:
    await done_with(job)
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.kafka_servers)
    await admin.start()
    await admin.delete_topics([TOPIC])
    await admin.close()
    balance = await job.look()
    assert (balance.log_short, balance.lost, balance.in_flight, balance.balanced) == (8, 0, 0, False)
