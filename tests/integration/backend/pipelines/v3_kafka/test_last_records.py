"""v3 and a topic that is no longer the one that its job has read up to the offsets that it goes on with."""

import asyncio

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from redis.asyncio import Redis

from backend.clients.kafka import open_logs
from backend.pipelines.v3_kafka.last_records import LastRecords, find_lost_ends, keep_last_records
from backend.pipelines.v3_kafka.repair import replay_v3
from backend.stack.topics import create_topics
from coffee_core.errors import CoffeeError
from coffee_core.keys import TOPIC
from coffee_core.order import Order
from coffee_core.settings import Settings
from coffee_core.tasks import end_tasks
from tests.integration.backend.pipelines.job import KEYS, Job
from tests.integration.backend.pipelines.v2_streams.bench import mixed
from tests.waiting import until


async def read(job: Job, *orders: Order) -> None:
    """Have orders accepted, stored and committed as the job does."""
    await job.store(list(orders), await job.accept(*orders))
    await job.commit()


async def make_anew(settings: Settings) -> None:
    """Delete the topic and make it anew, empty: as one that has lost its end, from the first record on."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_servers)
    await admin.start()
    try:
        await admin.delete_topics([TOPIC])

        async def made() -> bool:
            await create_topics(settings)
            (about,) = await admin.describe_topics([TOPIC])
            return not about["error_code"]

        await until(made)
    finally:
        await admin.close()


async def test_offsets_that_are_of_other_orders_are_noticed_until_a_replay(job: Job, client: Redis) -> None:
    orders = mixed(200)
    async with open_logs(job.settings) as logs:
        assert await keep_last_records(client, logs) == (), "nothing has been read"
        for batch in (orders[:30], orders[30:40]):
            await read(job, *batch)
            assert await keep_last_records(client, logs) == ()
        job.show(orders[:40])
        assert (await job.look()).balanced
        deleted = {number: (last, last) for number, (_, last) in (await logs.bounds(TOPIC)).items()}
        assert await find_lost_ends(client, logs, deleted) == (), "deleted from the beginning on, it has its end"
    read_of = {int(number) for number in await client.hgetall(KEYS.last_records)}  # type: ignore[misc]
    assert read_of
    await make_anew(job.settings)
    async with open_logs(job.settings) as logs:
        assert set(await keep_last_records(client, logs)) == read_of, "it ends before what was read"
        await job.accept(*orders[40:])
        assert set(await keep_last_records(client, logs)) == read_of, "other orders are where it was"
        await job.commit()
        assert set(await keep_last_records(client, logs)) == read_of, "the job has gone on with them"
        balance = await job.look()
        assert balance.log_short >= len(read_of)
        assert any("has lost its end" in note for note in balance.notes)
        watching = LastRecords(job.settings)
        running = asyncio.create_task(watching.run())
        try:
            standstill = await until(lambda: watching.standstill)
        finally:
            await end_tasks(running)
        assert standstill is not None
        assert "coffee replay v3" in standstill.cure
        # Also with fewer records than rows: it is no end that is yet to come.
        await job.store(orders[40:], [f"9:{offset}" for offset in range(160)])
        async with client.pubsub() as submitter:
            await submitter.subscribe(KEYS.watched)
            with pytest.raises(CoffeeError, match="0 of 160 records are counted"):
                await replay_v3(job.settings, lambda _done, _total: None, stalled_after_s=0.1)
        assert await keep_last_records(client, logs) == (), "another job begins with the first record"
        await client.hset(KEYS.last_records, "0", "no offset")  # type: ignore[misc]
        with pytest.raises(CoffeeError, match="last_records holds what nobody writes"):
            await find_lost_ends(client, logs, {})
