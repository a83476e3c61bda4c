"""What a look at a pipeline finds that has no API before it: the default, v3's and v4's."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from backend.clients.redis import RedisClient
from backend.pipelines.standstill import ReportedWatch
from backend.pipelines.v3_kafka.standstill import JobWatch
from backend.pipelines.v4_workers.standstill import GroupsWatch
from coffee_core.keys import MetricKeys
from coffee_core.pipelines import Pipeline
from coffee_core.pipelines.constants import V3, V4
from coffee_core.standstill import Standstill
from tests.waiting import until

WHY = Standstill("no checkpoint can be read", "`coffee replay v3`")
KEYS = MetricKeys(V3)


@pytest.fixture
async def api_redis(redis_url: str) -> AsyncIterator[RedisClient]:
    """The connection of an API."""
    opened = RedisClient(redis_url)
    running = asyncio.create_task(opened.run())
    await until(lambda: opened.health.up)
    yield opened
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


async def test_by_default_a_report_and_progress_are_all_that_is_seen(
    api_redis: RedisClient, client: Redis
) -> None:
    toy = Pipeline("toy")
    keys, watch = MetricKeys(toy), ReportedWatch(api_redis, toy)
    before = await watch.look()
    assert (before.waiting, before.reported, before.likely, before.certain) == (None, None, None, None)
    await client.set(keys.standstill, WHY.to_json())
    reported = await watch.look()
    assert (reported.reported, reported.progress) == (WHY, before.progress)
    await client.set(keys.total_orders, 1)
    shown = await watch.look()
    await client.hset(keys.counters, "last_update_us", "5")
    repeated = await watch.look()
    assert len({before.progress, shown.progress, repeated.progress}) == 3


async def test_v3_has_a_submitter_or_nobody_who_would_submit_a_job(api_redis: RedisClient, client: Redis) -> None:
    watch = JobWatch(api_redis)
    nobody = await watch.look()
    assert nobody.likely is not None
    assert "no submitter is connected to Redis" in nobody.likely.reason
    async with client.pubsub() as submitter:
        await submitter.subscribe(KEYS.watched)
        await submitter.get_message(timeout=10)
        assert (await watch.look()).likely is None


async def test_each_count_of_v3s_job_is_progress(api_redis: RedisClient, client: Redis) -> None:
    watch = JobWatch(api_redis)
    seen = [(await watch.look()).progress]
    for field in ("shown_orders", "duplicates", "dead"):
        await client.hset(KEYS.counters, field, "1")
        seen.append((await watch.look()).progress)
    assert len(set(seen)) == 4
    await client.set(KEYS.standstill, WHY.to_json())
    assert (await watch.look()).reported == WHY


async def test_v4s_orders_wait_where_they_are_counted_and_nobody_stores_them(
    api_redis: RedisClient, client: Redis
) -> None:
    keys, watch = MetricKeys(V4), GroupsWatch(api_redis)
    assert (await watch.look()).certain is None
    await client.hset(keys.offsets, mapping={"0": 10, "1": 5})
    await client.hset(keys.stored, mapping={"0": 7, "1": 6})
    assert (await watch.look()).certain is None, "it has just moved"
    stands = (await watch.look()).certain
    assert stands is not None
    assert stands.reason.startswith("3 orders are counted")
    await client.hset(keys.stored, "0", "9")
    assert (await watch.look()).certain is None
    await client.hset(keys.stored, "0", "12")
    await watch.look()
    assert (await watch.look()).certain is None, "the workers may be ahead"
    await client.set(keys.storing_standstill, WHY.to_json())
    assert (await watch.look()).certain == WHY
    await client.set(keys.standstill, WHY.to_json())
    assert (await watch.look()).reported == WHY
