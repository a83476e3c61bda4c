"""A worker dies at each point between reading and acknowledging, and another takes up its entries."""

import asyncio

import pytest
from redis.asyncio import Redis

from backend.clients.daemon import Database, open_postgres, open_redis
from backend.pipelines.v2_streams import batch
from backend.pipelines.v2_streams.batch import Batch, BatchScripts, parse, store
from coffee_core import keys
from tests.integration.backend.pipelines.v2_streams.bench import (
    assert_exact,
    counters,
    drain,
    mixed,
    order,
    post,
    started,
)


async def _read(client: Redis, consumer: str) -> Batch:
    answer = await client.xreadgroup(keys.STREAM_GROUP, consumer, {keys.STREAM: ">"})
    return parse(answer[0][1])


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let entries be taken from their consumer at once."""
    monkeypatch.setattr(batch, "MIN_IDLE_MS", 0)


@pytest.mark.parametrize("point", ["after reading", "after the commit", "after the script"])
@pytest.mark.parametrize("successor", ["test-1", "test-2"])
async def test_a_crash_at_each_point_counts_every_order_once(
    connection: Database, client: Redis, impatient: None, point: str, successor: str
) -> None:
    await started(connection, client)
    repeated = order()
    await post(client, *mixed(20), repeated, repeated)
    batch = await _read(client, "test-1")
    if point != "after reading":
        await store(connection, batch)
    if point == "after the script":
        await BatchScripts(client, "test-1").apply(batch)
    await post(client, *mixed(5), repeated)

    await drain(await started(connection, client, successor), client)
    await assert_exact(connection, client, 26)
    assert (await counters(client))["duplicates"] == 2


async def test_the_same_batch_applied_twice_has_one_effect(connection: Database, client: Redis) -> None:
    await started(connection, client)
    await post(client, *mixed(20))
    batch = await _read(client, "test-1")
    await store(connection, batch)
    first = await BatchScripts(client, "test-1").apply(batch)
    second = await BatchScripts(client, "test-1").apply(batch)
    assert (first.counted, first.late) == (20, 0)
    assert (second.counted, second.late, second.consistent) == (0, 20, False)
    # Suspicious, so the next start looks closer and finds nothing to correct.
    await started(connection, client)
    await assert_exact(connection, client, 20)
    assert "suspect" not in await counters(client)


async def test_a_worker_whose_entries_were_taken_over_has_no_effect(
    connection: Database, client: Redis, impatient: None
) -> None:
    await started(connection, client, "slow")
    await post(client, *mixed(20))
    slow = await _read(client, "slow")
    await drain(await started(connection, client, "quick"), client)
    await store(connection, slow)
    applied = await BatchScripts(client, "slow").apply(slow)
    assert (applied.counted, applied.late) == (0, 20)
    await started(connection, client, "slow")
    await assert_exact(connection, client, 20)


async def test_entries_in_several_hands_count_once_each(
    connection: Database, client: Redis, impatient: None
) -> None:
    await started(connection, client, "slow")
    entry_ids = await post(client, *mixed(30))
    slow = await _read(client, "slow")
    quick = await started(connection, client, "quick", batch_orders=10)
    assert await quick.step() == 10
    # Taken over by a third, who has not come to them yet.
    taken = (*entry_ids[10:20],)
    await client.xclaim(keys.STREAM, keys.STREAM_GROUP, "third", 0, taken)
    await store(connection, slow)
    applied = await BatchScripts(client, "slow").apply(slow)
    assert (applied.counted, applied.late) == (20, 10)
    await assert_exact(connection, client, 30)


async def test_a_restarted_server_does_not_know_the_scripts(connection: Database, client: Redis) -> None:
    worker = await started(connection, client)
    await post(client, *mixed(3))
    await worker.step()
    await client.script_flush()
    await post(client, *mixed(3))
    await drain(worker, client)
    await assert_exact(connection, client, 6)


async def test_two_workers_at_once_with_the_same_orders(
    database_url: str, redis_url: str, connection: Database, client: Redis
) -> None:
    orders = mixed(1500)
    # Every order twice, in another sequence: both workers insert the same keys at the same time.
    await post(client, *orders, *reversed(orders))

    async def work(name: str) -> None:
        own = await open_postgres(database_url)
        async with open_redis(redis_url) as own_client:
            worker = await started(own, own_client, name, batch_orders=100)
            await drain(worker, own_client)
        await own.close()

    await asyncio.gather(work("test-1"), work("test-2"))
    await assert_exact(connection, client, 1500)
    assert (await counters(client))["duplicates"] == 1500


async def test_a_consumer_with_pending_entries_is_not_removed(connection: Database, client: Redis) -> None:
    worker = await started(connection, client)
    await post(client, order())
    await _read(client, "test-1")
    await worker.retire()
    assert (await client.xinfo_consumers(keys.STREAM, keys.STREAM_GROUP))[0]["pending"] == 1
    await drain(worker, client)
    await worker.retire()
    assert await client.xinfo_consumers(keys.STREAM, keys.STREAM_GROUP) == []
