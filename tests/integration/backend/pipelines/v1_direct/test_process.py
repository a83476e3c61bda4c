"""The aggregator as a process."""

import asyncio
import signal
from pathlib import Path

from redis.asyncio import Redis

from backend.clients.daemon import Database
from backend.pipelines.v1_direct.fence import METRICS
from coffee_core.standstill import Standstill
from tests.database import connected
from tests.integration.backend.pipelines.v1_direct.test_run import place
from tests.integration.daemons import daemon, log_of
from tests.integration.shown import latency_count, shown, stored
from tests.waiting import until

AGGREGATOR = "backend.pipelines.v1_direct.aggregator"


async def _shows(client: Redis, orders: int) -> bool:
    return (await client.get(METRICS.total_orders)) == str(orders)


async def test_two_aggregators_run_on_their_schedule_and_agree(
    tmp_path: Path, database_url: str, redis_url: str, connection: Database, client: Redis
) -> None:
    every = {"COFFEE_AGGREGATOR_INTERVAL_S": "1"}
    async with (
        daemon(AGGREGATOR, tmp_path, database_url, redis_url, **every),
        daemon(AGGREGATOR, tmp_path, database_url, redis_url, **every),
    ):
        for placed in (20, 40, 60):
            await place(connection, 20)
            await until(lambda placed=placed: _shows(client, placed))
    assert await shown(client, METRICS) == await stored(connection, "v1")
    assert await latency_count(client, METRICS) == 60
    counters = await client.hgetall(METRICS.counters)
    assert 0 < int(counters["next_run_us"]) - int(counters["last_update_us"]) <= 1_000_000


async def test_sigterm_finishes_the_run_in_hand(
    tmp_path: Path, database_url: str, redis_url: str, connection: Database, client: Redis
) -> None:
    await place(connection, 5)
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("lock table orders_v1 in access exclusive mode")
    async with daemon(AGGREGATOR, tmp_path, database_url, redis_url) as process:

        async def in_hand() -> bool:
            waiting: bool = await connection.fetchval("select exists (select from pg_locks where not granted)")
            return waiting

        await until(in_hand)
        process.send_signal(signal.SIGTERM)
        await transaction.rollback()
        assert await asyncio.wait_for(process.wait(), 10) == 0
    assert await _shows(client, 5)


async def test_an_outage_is_one_line_and_no_missed_run(
    tmp_path: Path, postgres_server: str, database_url: str, redis_url: str, connection: Database, client: Redis
) -> None:
    name = database_url.rpartition("/")[2]
    await place(connection, 5)
    async with connected(f"{postgres_server.rpartition('/')[0]}/postgres") as admin:
        await admin.execute(f"alter database {name} allow_connections false")
        async with daemon(AGGREGATOR, tmp_path, database_url, redis_url, COFFEE_AGGREGATOR_INTERVAL_S="3600"):
            await until(lambda: "retrying" in log_of(tmp_path))

            async def said() -> str | None:
                text: str | None = await client.get(METRICS.standstill)
                return text

            reason = Standstill.from_json(await until(said) or "").reason
            assert reason == f'PostgreSQL: database "{name}" is not currently accepting connections'
            await admin.execute(f"alter database {name} allow_connections true")
            await until(lambda: _shows(client, 5))

            async def taken_back() -> bool:
                return await said() is None

            await until(taken_back)
            await until(lambda: "ready" in log_of(tmp_path))
        assert log_of(tmp_path).count("retrying") == 1
