"""The step that begins a replay of v3, against a real Valkey, with the job's own writer on either side of it."""

import asyncio

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from backend.clients.kafka import open_logs
from backend.pipelines.v3_kafka.audit import METRICS
from backend.pipelines.v3_kafka.repair import begin_epoch, counted_records, replay_v3
from coffee_core.clock import now_us
from coffee_core.errors import CoffeeError
from coffee_core.keys import FLINK_GROUP, TOPIC
from coffee_core.menu import DRINKS, STORES
from coffee_core.windows import starts
from flink.redis_sink import OTHER_EPOCH, SHOWN, RedisTotals
from tests.integration.backend.pipelines.job import Job
from tests.integration.backend.pipelines.v2_streams.bench import mixed
from tests.waiting import until


def row(orders: int, repeats: int = 0, dead: int = 0) -> tuple[object, ...]:
    """The tally of so many orders of everything at once: only the sums matter here."""
    cells = [orders, 100 * orders] * (len(DRINKS) + len(STORES))
    return (orders, 100 * orders, *cells, str(orders), orders + repeats, dead, *[1, 1] * len(STORES), now_us())


async def test_the_old_job_may_not_write_and_the_new_one_begins_at_nothing(client: Redis, redis_url: str) -> None:
    await client.set(METRICS.epoch, "7")
    old, new = RedisTotals(redis_url, "7"), RedisTotals(redis_url, "8")
    try:
        assert old.show(row(5, repeats=2, dead=1)) == SHOWN
        assert await counted_records(client) == 8
        windows = [METRICS.window(starts(now_us(), 1)[0]), METRICS.late, METRICS.watermark]
        await client.hset(windows[0], "uptown:orders", "5")  # type: ignore[misc]
        assert await client.exists(*windows) == len(windows)
        assert await begin_epoch(client) == 8
        assert not await client.exists(*METRICS.metrics, *windows)
        assert await counted_records(client) == 0
        assert old.show(row(6)) == OTHER_EPOCH
        assert not await client.exists(*METRICS.metrics)
        assert new.show(row(1)) == SHOWN
        assert await client.get(METRICS.total_orders) == "1"
    finally:
        old.close()
        new.close()


async def test_a_second_replay_half_way_through_remembers_what_was_visible_before_the_first(client: Redis) -> None:
    await client.set(METRICS.epoch, "1")
    await client.hset(METRICS.counters, mapping={"shown_orders": "500"})  # type: ignore[misc]
    await begin_epoch(client)
    await client.hset(METRICS.counters, mapping={"shown_orders": "20"})  # type: ignore[misc]
    assert await begin_epoch(client) == 3
    assert await client.hget(METRICS.counters, "history_orders") == "500"  # type: ignore[misc]


async def test_nothing_is_changed_where_it_cannot_be_changed_as_a_whole(client: Redis) -> None:
    await client.set(METRICS.epoch, "1")
    await client.set(METRICS.total_orders, "5")
    await client.set(METRICS.counters, "no hash")
    with pytest.raises(ResponseError):
        await begin_epoch(client)
    assert (await client.get(METRICS.epoch), await client.get(METRICS.total_orders)) == ("1", "5")


async def test_without_an_epoch_nothing_is_begun(client: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.pipelines.v3_kafka.repair._EPOCH_WITHIN_S", 0.1)
    await client.set(METRICS.total_orders, "5")
    with pytest.raises(CoffeeError, match="no epoch"):
        await begin_epoch(client)
    assert await client.get(METRICS.total_orders) == "5"


async def test_nothing_is_changed_where_nobody_would_begin_another_job(job: Job, client: Redis) -> None:
    await job.accept(*mixed(3))
    with pytest.raises(CoffeeError, match="flink-job is not there"):
        await replay_v3(job.settings, lambda _done, _total: None)
    assert await client.get(METRICS.epoch) == "1"


async def test_a_replay_that_another_has_overtaken_says_so(job: Job, client: Redis) -> None:
    await job.accept(*mixed(3))
    async with client.pubsub() as submitter:
        await submitter.subscribe(METRICS.watched)
        older = asyncio.create_task(replay_v3(job.settings, lambda _done, _total: None))

        async def has_begun() -> bool:
            return await client.get(METRICS.epoch) == "2"

        await until(has_begun)
        await begin_epoch(client)
        with pytest.raises(CoffeeError, match="another replay has overtaken this one: epoch 3"):
            await older


async def test_what_the_job_before_had_committed_is_forgotten(job: Job, client: Redis) -> None:
    await job.accept(*mixed(3))
    await job.commit()
    async with client.pubsub() as submitter:
        await submitter.subscribe(METRICS.watched)
        with pytest.raises(CoffeeError, match="0 of 3 records are counted"):
            await replay_v3(job.settings, lambda _done, _total: None, stalled_after_s=0.5)
    async with open_logs(job.settings) as logs:
        assert set((await logs.committed(FLINK_GROUP, TOPIC)).values()) == {0}


async def test_a_submitter_without_a_job_is_enough(job: Job, client: Redis) -> None:
    await job.accept(*mixed(3))
    async with client.pubsub() as submitter:
        await submitter.subscribe(METRICS.watched)
        with pytest.raises(CoffeeError, match="0 of 3 records are counted"):
            await replay_v3(job.settings, lambda _done, _total: None, stalled_after_s=0.1)
    assert await client.get(METRICS.epoch) == "2"
