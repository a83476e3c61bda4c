"""A worker with a backlog: one batch is shown and the next one read, while one is stored."""

import asyncio

import asyncpg
import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from backend.clients.daemon import Database, open_postgres
from backend.pipelines.v2_streams.batch import METRICS
from backend.pipelines.v2_streams.worker import Worker, run_worker
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
from tests.waiting import until

BATCH = 10


async def _in_a_backlog(connection: Database, client: Redis) -> Worker:
    """Return a worker that has asked for pending entries, so that from now on it reads ahead."""
    worker = await started(connection, client, batch_orders=BATCH)
    await post(client, order())
    await worker.step()
    return worker


async def _pending(client: Redis) -> int:
    pending: int = (await client.xpending(keys.STREAM, keys.STREAM_GROUP))["pending"]
    return pending


async def test_a_full_batch_is_shown_with_the_next_one_and_the_last_at_once(
    connection: Database, client: Redis
) -> None:
    worker = await _in_a_backlog(connection, client)
    await post(client, *mixed(2 * BATCH + 5))
    assert await worker.step() == BATCH
    assert (await client.get(METRICS.total_orders), await _pending(client)) == ("1", 2 * BATCH)
    assert await worker.step() == BATCH
    assert (await client.get(METRICS.total_orders), await _pending(client)) == (str(1 + BATCH), BATCH + 5)
    assert await worker.step() == 5
    await assert_exact(connection, client, 2 * BATCH + 6)


async def test_a_full_batch_with_nothing_behind_it_is_shown_at_once(connection: Database, client: Redis) -> None:
    worker = await _in_a_backlog(connection, client)
    await post(client, *mixed(BATCH))
    assert await worker.step() == BATCH
    await assert_exact(connection, client, BATCH + 1)


@pytest.mark.parametrize("batches", [1, 2])
async def test_an_insert_that_fails_while_batches_are_in_hand_loses_nothing_and_doubles_nothing(
    database_url: str, connection: Database, client: Redis, batches: int
) -> None:
    own = await open_postgres(database_url)
    worker = await _in_a_backlog(own, client)
    repeated = order()
    await post(client, repeated, *mixed(4 * BATCH), repeated)
    for _ in range(batches):
        await worker.step()
    own.terminate()
    with pytest.raises(asyncpg.InterfaceError):
        await worker.step()
    assert await _pending(client) >= 2 * BATCH - 1
    await drain(await started(connection, client, batch_orders=BATCH), client)
    await assert_exact(connection, client, 4 * BATCH + 2)
    assert (await counters(client))["duplicates"] == 1


async def test_a_batch_that_cannot_be_shown_while_others_are_in_hand_comes_again(
    database_url: str, connection: Database, client: Redis
) -> None:
    own = await open_postgres(database_url)
    worker = await _in_a_backlog(own, client)
    await post(client, *mixed(5 * BATCH))
    await worker.step()
    await worker.step()
    await client.rename(METRICS.store_revenue, "aside")
    await client.set(METRICS.store_revenue, "somebody's")
    with pytest.raises(ResponseError, match="v2:metrics:store_revenue is a string"):
        await worker.step()
    own.terminate()
    assert await client.get(METRICS.total_orders) == str(1 + BATCH)
    await client.rename("aside", METRICS.store_revenue)
    await drain(await started(connection, client, batch_orders=BATCH), client)
    await assert_exact(connection, client, 5 * BATCH + 1)


async def test_what_is_in_hand_is_finished_before_the_consumer_retires(
    connection: Database, client: Redis
) -> None:
    worker = await _in_a_backlog(connection, client)
    await post(client, *mixed(3 * BATCH))
    await worker.step()
    await worker.retire()
    # Of the three batches two were in hand.
    assert await client.get(METRICS.total_orders) == str(1 + 2 * BATCH)
    assert await client.xinfo_consumers(keys.STREAM, keys.STREAM_GROUP) == []
    await drain(await started(connection, client), client)
    await assert_exact(connection, client, 3 * BATCH + 1)


async def test_a_worker_that_is_stopped_in_a_backlog_leaves_nothing_in_hand(
    database_url: str, redis_url: str, connection: Database, client: Redis
) -> None:
    stop = asyncio.Event()
    running = asyncio.create_task(run_worker(stop, database_url, redis_url, "test-1", BATCH))
    await until(lambda: _shows(client, 0), 30)
    await post(client, *mixed(3000))

    async def under_way() -> bool:
        return not await _shows(client, 0)

    await until(under_way, 30)
    stop.set()
    await asyncio.wait_for(running, 60)
    assert await _pending(client) == 0
    assert await client.xinfo_consumers(keys.STREAM, keys.STREAM_GROUP) == []
    await drain(await started(connection, client, "test-2"), client)
    await assert_exact(connection, client, 3000)


async def test_who_is_killed_with_batches_in_hand_loses_nothing(
    database_url: str, connection: Database, client: Redis
) -> None:
    own = await open_postgres(database_url)
    worker = await _in_a_backlog(own, client)
    await post(client, *mixed(4 * BATCH))
    await worker.step()
    async with connection.transaction():
        await connection.execute("lock table orders_v2 in exclusive mode")
        stepping = asyncio.create_task(worker.step())
        # The one before is shown and the next one read, although the table is locked.
        await until(lambda: _shows(client, 1 + BATCH), 30)
        await until(lambda: _has_pending(client, 2 * BATCH), 30)
        stepping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stepping
    own.terminate()
    await drain(await started(connection, client, batch_orders=BATCH), client)
    await assert_exact(connection, client, 4 * BATCH + 1)


async def _shows(client: Redis, orders: int) -> bool:
    total: str = await client.get(METRICS.total_orders)
    return total == str(orders)


async def _has_pending(client: Redis, entries: int) -> bool:
    return await _pending(client) == entries
