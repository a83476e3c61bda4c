"""The dashboard: one moment of all pipelines, and pushed on change to whoever watches."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from redis.asyncio import Redis

from backend.api.dashboard import DashboardFeed
from backend.clients.redis import RedisClient
from coffee_core.keys import MetricKeys
from coffee_core.pipelines import PIPELINES
from coffee_core.pipelines.constants import V2
from tests.integration.backend.api.in_process import LocalApi
from tests.integration.backend.api.process import Api, running
from tests.waiting import until

V2 = MetricKeys(V2)


@pytest.fixture
async def feed(redis_url: str) -> AsyncIterator[DashboardFeed]:
    backend = RedisClient(redis_url)
    task = asyncio.create_task(backend.run())
    await until(lambda: backend.health.up)
    yield DashboardFeed(backend, redis_url, asyncio.Event())
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def process(tmp_path: Path, redis_url: str) -> AsyncIterator[Api]:
    async with running(tmp_path, REDIS_URL=redis_url, COFFEE_PIPELINES="v2") as api:
        await until(lambda: api.is_ready("v2"))
        yield api


def _orders(snapshot: bytes | str | None) -> int:
    assert snapshot is not None
    return int(json.loads(snapshot)["pipelines"]["v2"]["orders"])


async def test_the_dashboard_is_what_the_keys_say(api: LocalApi, redis: "Redis[str]") -> None:
    await redis.set(V2.total_orders, 3)
    await redis.set(V2.total_revenue, 1500)
    await redis.hset(V2.drink_counts, mapping={"latte": "3"})
    await redis.hset(
        V2.counters, mapping={"duplicates": "2", "dead": "1", "cut": "123 abc", "last_update_us": "7"}
    )
    status, said = await api.get("/api/dashboard")
    assert status == 200
    assert said["pipelines"].keys() == set(PIPELINES)
    v2 = said["pipelines"]["v2"]
    assert (v2["orders"], v2["revenue_cents"], v2["duplicates"], v2["dead_letters"]) == (3, 1500, 2, 1)
    assert v2["drink_counts"] == {"cappuccino": 0, "americano": 0, "latte": 3}
    assert v2["last_update_us"] == 7
    assert said["pipelines"]["v1"]["last_update_us"] is None


@pytest.mark.parametrize("value", ["many", None])
async def test_a_key_that_nobody_of_us_wrote_is_unavailable(
    api: LocalApi, redis: "Redis[str]", value: str | None
) -> None:
    if value is None:
        await redis.hset(V2.total_orders, "a", "1")
    else:
        await redis.set(V2.total_orders, value)
    status, problem = await api.get("/api/dashboard")
    assert (status, problem["type"]) == (503, "/problems/unavailable")


async def test_a_slow_watcher_is_skipped_forward(feed: DashboardFeed, redis: "Redis[str]") -> None:
    async with aclosing(feed.watch()) as quick, aclosing(feed.watch()) as slow:
        assert _orders(await anext(quick)) == _orders(await anext(slow)) == 0
        for number in range(1, 6):
            await redis.incr(V2.total_orders)
            assert _orders(await anext(quick)) == number
        assert _orders(await anext(slow)) == 5


async def test_many_changes_are_few_snapshots(feed: DashboardFeed, redis: "Redis[str]") -> None:
    async with aclosing(feed.watch()) as snapshots:
        await anext(snapshots)
        began_s = asyncio.get_running_loop().time()
        for _ in range(2000):
            await redis.incr(V2.total_orders)
        seen = 0
        async for snapshot in snapshots:
            seen += 1
            if _orders(snapshot) == 2000:
                break
        assert seen <= (asyncio.get_running_loop().time() - began_s) * 10 + 2


async def test_many_watchers_are_one_subscription(feed: DashboardFeed, redis: "Redis[str]") -> None:
    watchers = [feed.watch() for _ in range(20)]
    for each in watchers:
        await anext(each)
    [(_, subscribers)] = await redis.pubsub_numsub(f"__keyspace@0__:{V2.total_orders}")
    assert subscribers == 1
    for each in watchers:
        await each.aclose()

    async def nobody() -> bool:
        return [(channel, 0) for channel, _ in await redis.pubsub_numsub("x")] == [("x", 0)] and not (
            await redis.pubsub_channels()
        )

    await until(nobody)


async def test_a_cut_connection_is_made_again(feed: DashboardFeed, redis: "Redis[str]") -> None:
    async with aclosing(feed.watch()) as snapshots:
        await anext(snapshots)
        await redis.client_kill_filter(_type="pubsub")
        await redis.incr(V2.total_orders)
        assert _orders(await anext(snapshots)) == 1


async def _first_event(answer: aiohttp.ClientResponse) -> dict[str, Any]:
    async for line in answer.content:
        if line.startswith(b"data: "):
            said: dict[str, Any] = json.loads(line[6:])
            return said
    raise AssertionError("the stream ended")


async def test_events_and_websocket_push_and_end_with_the_api(process: Api, redis: "Redis[str]") -> None:
    async with (
        aiohttp.ClientSession(process.base_url) as session,
        session.get("/api/events") as events,
        session.ws_connect("/ws/dashboard") as socket,
    ):
        assert events.content_type == "text/event-stream"
        assert (await _first_event(events))["pipelines"]["v2"]["orders"] == 0
        assert _orders(await socket.receive_str()) == 0
        await redis.incr(V2.total_orders)
        assert (await _first_event(events))["pipelines"]["v2"]["orders"] == 1
        assert _orders(await socket.receive_str()) == 1
        process.process.terminate()
        assert await events.content.read() == b"\n", "the end of the last event, and of the stream"
        assert (await socket.receive()).type == aiohttp.WSMsgType.CLOSE
    await until(lambda: process.process.poll() is not None)


async def test_a_long_message_of_a_client_closes_its_websocket(process: Api) -> None:
    async with (
        aiohttp.ClientSession(process.base_url) as session,
        session.ws_connect("/ws/dashboard") as socket,
    ):
        await socket.receive_str()
        await socket.send_str("x" * 5000)
        async with asyncio.timeout(5):
            while (await socket.receive()).type != aiohttp.WSMsgType.CLOSE:
                pass
    assert await process.is_ready("v2")
