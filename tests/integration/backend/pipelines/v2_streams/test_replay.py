"""What dead consumers have left, taken over by a running worker, on a real Valkey and PostgreSQL."""

import asyncio

import pytest
from redis.asyncio import Redis

from backend.clients.daemon import Database
from backend.pipelines.v2_streams import batch, repair
from backend.pipelines.v2_streams.repair import replay_v2
from coffee_core.errors import CoffeeError
from coffee_core.keys import STREAM, STREAM_GROUP
from coffee_core.settings import Settings
from tests.integration.backend.pipelines.v2_streams.bench import assert_exact, drain, mixed, post, started
from tests.waiting import until


def nobody(_done: int, _total: int) -> None:
    """Ignore the progress."""


async def read_and_die(client: Redis, consumer: str, count: int) -> None:
    """Read entries as a worker does that dies before it acknowledges them."""
    await client.xreadgroup(STREAM_GROUP, consumer, {STREAM: ">"}, count=count)


async def test_what_the_dead_left_is_finished_before_it_has_grown_old(
    connection: Database, client: Redis, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (batch, repair):
        monkeypatch.setattr(module, "MIN_IDLE_MS", 3_600_000)  # nothing grows old by itself
    worker = await started(connection, client)
    await post(client, *mixed(30))
    await read_and_die(client, "dead-1", 20)
    await read_and_die(client, "dead-2", 10)

    async def both_are_dead() -> bool:
        consumers = await client.xinfo_consumers(STREAM, STREAM_GROUP)
        return all(each["idle"] >= repair.DEAD_AFTER_MS for each in consumers if each["pending"])

    await until(both_are_dead)
    replay = asyncio.create_task(replay_v2(settings, nobody))
    while not replay.done():
        await worker.step()
    done = await replay
    assert (done.entries, done.consumers) == (30, {"dead-1": 20, "dead-2": 10})
    await assert_exact(connection, client, 30)


async def test_a_worker_that_was_only_slow_counts_nothing_twice(
    connection: Database, client: Redis, settings: Settings
) -> None:
    await post(client, *mixed(10))
    slow = await started(connection, client, "slow")
    await read_and_die(client, "slow", 10)
    other = await started(connection, client, "other")
    replay = asyncio.create_task(replay_v2(settings, nobody))
    while not replay.done():
        # It wakes up and finishes what it had read, while the other one takes it over.
        await asyncio.gather(slow.step(), other.step())
    await replay
    await drain(other, client)
    await assert_exact(connection, client, 10)


async def test_without_a_worker_it_says_so_and_everything_stays_pending(
    connection: Database, client: Redis, settings: Settings
) -> None:
    await started(connection, client)
    await post(client, *mixed(3))
    await read_and_die(client, "dead", 3)
    with pytest.raises(CoffeeError, match=r"3 of 3 entries .* does a stream-worker run"):
        await replay_v2(settings, nobody, within_s=0.3)
    assert (await client.xpending(STREAM, STREAM_GROUP))["pending"] == 3


async def test_where_nothing_was_left_nothing_is_taken_over(
    connection: Database, client: Redis, settings: Settings
) -> None:
    assert (await replay_v2(settings, nobody)).entries == 0
    worker = await started(connection, client)
    await post(client, *mixed(3))
    await drain(worker, client)
    assert (await replay_v2(settings, nobody)).entries == 0
