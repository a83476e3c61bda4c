"""The reconciliation on a schedule, as the process does it."""

import asyncio
from pathlib import Path

from redis.asyncio import Redis

from backend.clients.daemon import Database
from backend.pipelines.v1_direct.aggregator import METRICS as V1_METRICS
from backend.pipelines.v2_streams.batch import METRICS, ConsumerGroup
from tests.integration.backend.pipelines.v2_streams.bench import drain, mixed, post, started
from tests.integration.daemons import daemon, log_of
from tests.integration.shown import shown, stored
from tests.waiting import until

AGGREGATOR = "backend.pipelines.v1_direct.aggregator"


async def test_the_drift_of_v2_is_mended_and_said(
    tmp_path: Path, database_url: str, redis_url: str, connection: Database, client: Redis
) -> None:
    await post(client, *mixed(10))
    await drain(await started(connection, client), client)
    await client.incr(METRICS.total_orders)
    every = {"COFFEE_RECONCILE_INTERVAL_S": "1", "COFFEE_PIPELINES": "v1,v2"}
    async with daemon(AGGREGATOR, tmp_path, database_url, redis_url, **every) as process:
        await until(lambda: "v2: mended by -1 orders" in log_of(tmp_path), within_s=30)
        await until(lambda: "v2: nothing was off" in log_of(tmp_path), within_s=30)
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 10) == 0
    assert await shown(client, METRICS) == await stored(connection, "v2")


async def test_without_v1_it_does_nothing_else(
    tmp_path: Path, database_url: str, redis_url: str, client: Redis
) -> None:
    await ConsumerGroup(client, "worker", 1).create_if_missing()
    every = {"COFFEE_RECONCILE_INTERVAL_S": "1", "COFFEE_PIPELINES": "v2"}
    async with daemon(AGGREGATOR, tmp_path, database_url, redis_url, **every):
        await until(lambda: "v2: nothing was off" in log_of(tmp_path), within_s=30)
    assert not await client.exists(V1_METRICS.total_orders)


async def test_it_is_off_by_default(tmp_path: Path, database_url: str, redis_url: str) -> None:
    async with daemon(AGGREGATOR, tmp_path, database_url, redis_url):
        await until(lambda: "ready" in log_of(tmp_path))
    assert "reconciling" not in log_of(tmp_path)


async def test_a_failure_is_said_and_v1_goes_on(
    tmp_path: Path, database_url: str, redis_url: str, connection: Database, client: Redis
) -> None:
    # A type that no script of v2 takes; v1 has nothing to do with it.
    await client.set(METRICS.drink_counts, "x")
    every = {"COFFEE_RECONCILE_INTERVAL_S": "1", "COFFEE_PIPELINES": "v1,v2"}
    async with daemon(AGGREGATOR, tmp_path, database_url, redis_url, **every):
        await until(lambda: log_of(tmp_path).count("WRONGTYPE") >= 2, within_s=30)
        assert log_of(tmp_path).count("retrying") == 0
        await client.delete(METRICS.drink_counts)
        await until(lambda: "v2: nothing was off" in log_of(tmp_path), within_s=30)
