"""What is visible is seen at every change, told of by the server or not, and again after a connection was lost."""

import asyncio

import pytest
from redis.asyncio import Redis

from backend.lab.bench.visibility import VisibilityWatcher, connect
from coffee_core.errors import UnavailableError
from coffee_core.keys import MetricKeys
from coffee_core.pipelines.constants import V1, V2
from tests.waiting import until

BOTH = (V1, V2)
V1_TOTAL, V2_TOTAL = (MetricKeys(pipeline).total_orders for pipeline in BOTH)


async def test_every_change_is_seen(redis_url: str, client: Redis) -> None:
    await client.set(V2_TOTAL, 7)
    async with VisibilityWatcher(redis_url, BOTH) as watcher:
        history = watcher.histories[V2]
        assert (history.total, watcher.histories[V1].total) == (7, 0), "before the block begins"
        for total in range(8, 30):
            await client.incr(V2_TOTAL)
            assert await watcher.reached({V2: total}, 10)
        await client.set(V1_TOTAL, 1_000)
        assert await watcher.reached({V1: 1_000}, 10)
        await client.delete(V2_TOTAL)
        await until(lambda: history.total == 0)
        assert history.totals == [*range(7, 30), 0]
        assert not await watcher.reached({V2: 1}, 0)


async def test_a_change_right_behind_an_answer_is_seen(
    redis_url: str, client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.lab.bench.visibility._TRACKED_POLL_S", 3_600)  # by what it is told alone
    async with VisibilityWatcher(redis_url, BOTH) as watcher:
        for total in range(50, 5_001, 50):
            await asyncio.gather(*(client.incr(V2_TOTAL) for _ in range(50)))
            assert await watcher.reached({V2: total}, 10)


async def test_a_key_that_was_read_is_told_of_once_it_changes(redis_url: str, client: Redis) -> None:
    changed: list[str] = []
    link, will_tell = await connect(redis_url, lambda: changed.append("changed"))
    assert will_tell
    try:
        await link.send("MGET", V1_TOTAL, V2_TOTAL)
        await client.set("another", 1)
        await client.incr(V2_TOTAL)
        await until(lambda: changed)
        await client.incr(V2_TOTAL)
        assert await link.send("MGET", V1_TOTAL, V2_TOTAL) == [None, b"2"]
        assert changed == ["changed"], "not read again in between"
    finally:
        link.close()


async def test_a_lost_connection_is_made_again(redis_url: str, client: Redis) -> None:
    async def mine() -> list[dict[str, str]]:
        return [each for each in await client.client_list() if each["name"] == "coffee-bench"]

    async with VisibilityWatcher(redis_url, BOTH) as watcher:
        for total in (1, 2):
            (connection,) = await mine()
            await client.client_kill_filter(_id=connection["id"])
            await client.incr(V2_TOTAL)
            assert await watcher.reached({V2: total}, 10)
            assert len(await until(mine)) == 1


async def test_a_server_that_tells_nothing_is_looked_at(redis_url: str, client: Redis) -> None:
    await client.acl_setuser(
        "blind", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-client|tracking"], reset=True
    )
    try:
        blind = redis_url.replace("redis://", "redis://blind:any@")
        link, will_tell = await connect(blind, lambda: None)
        link.close()
        assert not will_tell
        async with VisibilityWatcher(blind, BOTH) as watcher:
            for total in range(1, 20):
                await client.incr(V2_TOTAL)
                assert await watcher.reached({V2: total}, 10)
    finally:
        await client.acl_deluser("blind")


async def test_where_nobody_answers_it_says_so() -> None:
    with pytest.raises(UnavailableError, match="cannot connect"):
        async with VisibilityWatcher("redis://127.0.0.1:9", BOTH):
            pass
