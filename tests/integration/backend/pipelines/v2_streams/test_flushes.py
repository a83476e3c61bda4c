"""Somebody deletes the metrics, the lab's keys or everything; the numbers come back by themselves."""

import asyncio

import pytest
from redis.asyncio import Redis

from backend.clients.daemon import Database
from backend.pipelines.v2_streams.batch import METRICS, BatchScripts, parse, store
from backend.pipelines.v2_streams.reconcile import reconcile
from backend.pipelines.v2_streams.worker import run_worker
from coffee_core import keys
from coffee_core.menu import DRINKS, STORES
from tests.integration.backend.pipelines.v2_streams.bench import drain, mixed, order, post, started
from tests.integration.shown import shown, stored
from tests.waiting import until


async def _settled(connection: Database, client: Redis) -> bool:
    return await shown(client, METRICS) == await stored(connection, "v2")


async def test_an_empty_table_shows_zeros_for_the_whole_menu(connection: Database, client: Redis) -> None:
    await started(connection, client)
    assert await client.get(METRICS.total_orders) == "0"
    assert await client.hgetall(METRICS.drink_counts) == dict.fromkeys(DRINKS, "0")
    assert await client.hgetall(METRICS.store_revenue) == dict.fromkeys(STORES, "0")


@pytest.mark.parametrize(
    "flushed",
    [METRICS.metrics, *((key,) for key in METRICS.metrics), (METRICS.counters,)],
    ids=lambda flushed: "+".join(flushed),
)
async def test_a_flush_heals_with_the_next_batch(
    connection: Database, client: Redis, flushed: tuple[str, ...]
) -> None:
    worker = await started(connection, client)
    await post(client, *mixed(50))
    await drain(worker, client)
    await client.delete(*flushed)
    await post(client, *mixed(7))
    await drain(worker, client)
    assert (await shown(client, METRICS)).orders == 57
    assert await _settled(connection, client)


async def test_a_flush_heals_while_nothing_is_ordered(connection: Database, client: Redis) -> None:
    worker = await started(connection, client)
    await post(client, *mixed(50))
    await drain(worker, client)
    await client.delete(*METRICS.metrics)
    async with asyncio.timeout(10):
        while not await _settled(connection, client):
            await worker.step()


async def test_flushall_makes_a_new_group_and_the_numbers_come_back(
    database_url: str, redis_url: str, connection: Database, client: Redis
) -> None:
    stop = asyncio.Event()
    running = asyncio.create_task(run_worker(stop, database_url, redis_url, "test-1", 100))
    try:
        await until(lambda: client.exists(METRICS.total_orders), 10)
        await post(client, *mixed(50))
        await until(lambda: _shows(client, 50), 10)
        await client.flushall()
        await post(client, *mixed(9))
        await until(lambda: _shows(client, 59), 10)
        assert await _settled(connection, client)
    finally:
        stop.set()
        await running


async def _shows(client: Redis, orders: int) -> bool:
    return (await client.get(METRICS.total_orders)) == str(orders)


async def test_a_worker_that_dies_before_it_reconciles_leaves_word(connection: Database, client: Redis) -> None:
    await post(client, *mixed(50))
    await drain(await started(connection, client), client)
    await client.flushall()
    await client.xgroup_create(keys.STREAM, keys.STREAM_GROUP, id="0", mkstream=True)
    await post(client, *mixed(5))
    answer = await client.xreadgroup(keys.STREAM_GROUP, "test-1", {keys.STREAM: ">"})
    batch = parse(answer[0][1])
    await store(connection, batch)
    assert not (await BatchScripts(client, "test-1").apply(batch)).consistent
    assert (await shown(client, METRICS)).orders == 5

    await started(connection, client)
    assert (await shown(client, METRICS)).orders == 55
    assert await _settled(connection, client)


async def test_an_entry_stored_before_a_flushall_and_acknowledged_after_is_shown(
    connection: Database, client: Redis
) -> None:
    await started(connection, client)
    await post(client, *mixed(5))
    answer = await client.xreadgroup(keys.STREAM_GROUP, "test-1", {keys.STREAM: ">"})
    batch = parse(answer[0][1])
    await client.flushall()
    await started(connection, client, "test-2")
    await store(connection, batch)
    assert (await BatchScripts(client, "test-1").apply(batch)).late == 5
    await started(connection, client, "test-2")
    assert (await shown(client, METRICS)).orders == 5


async def test_what_is_stored_and_still_in_the_stream_is_not_counted_twice(
    connection: Database, client: Redis
) -> None:
    await post(client, *mixed(10))
    worker = await started(connection, client)
    answer = await client.xreadgroup(keys.STREAM_GROUP, "test-1", {keys.STREAM: ">"}, count=6)
    batch = parse(answer[0][1])
    await store(connection, batch)
    await client.delete(*METRICS.metrics)
    await reconcile(connection, client)
    assert (await shown(client, METRICS)).orders == 0
    await drain(worker, client)
    assert (await shown(client, METRICS)).orders == 10
    assert await _settled(connection, client)


async def test_flushes_and_reconciliations_in_the_middle_of_a_load(
    database_url: str, redis_url: str, connection: Database, client: Redis
) -> None:
    stop = asyncio.Event()
    workers = [
        asyncio.create_task(run_worker(stop, database_url, redis_url, name, 40)) for name in ("test-1", "test-2")
    ]
    try:
        for disturbance in ("none", "flush", "reconcile", "part", "flush", "lab"):
            await post(client, *mixed(400))
            if disturbance == "flush":
                await client.delete(*METRICS.metrics)
            elif disturbance == "part":
                await client.delete(METRICS.drink_revenue, METRICS.total_orders)
            elif disturbance == "lab":
                await client.delete(METRICS.counters)
            elif disturbance == "reconcile":
                await reconcile(connection, client)
        await post(client, *mixed(100))
        await until(lambda: _shows(client, 2500), 30)
        await until(lambda: _settled(connection, client))
    finally:
        stop.set()
        await asyncio.gather(*workers)


async def test_drift_of_any_kind_is_found_and_named(connection: Database, client: Redis) -> None:
    await post(client, order(), order())
    await drain(await started(connection, client), client)
    await client.hincrby(METRICS.drink_counts, "latte", 3)
    await client.hset(METRICS.drink_counts, "tea", "4")
    await client.incrby(METRICS.total_orders, 5)
    drift = await reconcile(connection, client)
    assert drift is not None
    assert (drift.orders, drift.revenue_cents) == (-5, 0)
    assert drift.fields == {"drink_counts.latte": -3, "drink_counts.tea": -4}
    assert await _settled(connection, client)
    again = await reconcile(connection, client)
    assert again is not None
    assert not again


async def test_a_correction_is_refused_where_a_flush_or_another_came_between(
    connection: Database, client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    await post(client, *mixed(10))
    await drain(await started(connection, client), client)

    class Between:
        """PostgreSQL, with something that happens while it is being asked."""

        def __init__(self, *delete: str) -> None:
            self._delete = delete

        async def fetch(self, *query: object, **options: object) -> object:
            await client.delete(*self._delete)
            return await connection.fetch(*query, **options)

    for flushed in (METRICS.metrics, (METRICS.counters,)):
        assert await reconcile(Between(*flushed), client) is None
        await reconcile(connection, client)
        assert await _settled(connection, client)


async def test_one_reconciliation_at_a_time(connection: Database, client: Redis) -> None:
    await started(connection, client)
    outcomes: list[object] = []

    class Nested:
        async def fetch(self, *query: object, **options: object) -> object:
            outcomes.append(await reconcile(connection, client))
            return await connection.fetch(*query, **options)

    assert await reconcile(Nested(), client) is not None
    assert outcomes == [None]
    assert not await client.hexists(METRICS.counters, "cut")
