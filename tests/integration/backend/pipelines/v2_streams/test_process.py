"""The worker as a process: ended, killed, and cut off from its servers."""

import asyncio
import signal
from pathlib import Path

from redis.asyncio import Redis

from backend.clients.daemon import Database, open_redis
from backend.pipelines.v2_streams.batch import METRICS
from backend.stack import redis as redis_stack
from coffee_core import keys
from coffee_core.settings import Settings
from coffee_core.standstill import EXPIRY_MS, Standstill
from tests.database import connected
from tests.integration.backend.pipelines.v2_streams.bench import assert_exact, counters, mixed, post
from tests.integration.daemons import daemon, log_of
from tests.integration.shown import shown, stored
from tests.servers import free_port, serving
from tests.waiting import until

WORKER = "backend.pipelines.v2_streams.worker"


async def _shows(client: Redis, orders: int) -> bool:
    return (await client.get(METRICS.total_orders)) == str(orders)


async def test_sigterm_finishes_the_batch_in_hand(
    tmp_path: Path, database_url: str, redis_url: str, connection: Database, client: Redis
) -> None:
    async with daemon(WORKER, tmp_path, database_url, redis_url) as process:
        await until(lambda: "ready" in log_of(tmp_path))
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("lock table orders_v2 in exclusive mode")
        await post(client, *mixed(50))

        async def in_hand() -> bool:
            pending: int = (await client.xpending(keys.STREAM, keys.STREAM_GROUP))["pending"]
            return pending > 0

        await until(in_hand)
        process.send_signal(signal.SIGTERM)
        taken = (await client.xpending(keys.STREAM, keys.STREAM_GROUP))["pending"]
        assert process.returncode is None
        await transaction.rollback()
        assert await asyncio.wait_for(process.wait(), 10) == 0
    assert await shown(client, METRICS) == await stored(connection, "v2")
    assert await client.get(METRICS.total_orders) == str(taken)
    assert await client.xinfo_consumers(keys.STREAM, keys.STREAM_GROUP) == []


async def test_sigkill_in_the_middle_of_a_load(
    tmp_path: Path, database_url: str, redis_url: str, connection: Database, client: Redis
) -> None:
    orders = mixed(4000)
    await post(client, *orders, *orders[::20])
    limits = {"COFFEE_WORKER_BATCH_ORDERS": "50"}
    async with daemon(WORKER, tmp_path, database_url, redis_url, **limits) as process:

        async def counting() -> bool:
            return await client.get(METRICS.total_orders) not in (None, "0")

        await until(counting)
        process.kill()
        await process.wait()
    assert await client.xlen(keys.STREAM) > 0
    async with (
        daemon(WORKER, tmp_path, database_url, redis_url, **limits),
        daemon(WORKER, tmp_path, database_url, redis_url, **limits) as second,
    ):

        async def under_way() -> bool:
            return await client.xlen(keys.STREAM) < 3000

        await until(under_way, 20)
        second.kill()
        await until(lambda: _shows(client, 4000), 60)

        async def empty() -> bool:
            return not await client.xlen(keys.STREAM)

        await until(empty)
    await assert_exact(connection, client, 4000)
    assert (await counters(client))["duplicates"] == 200


async def test_without_postgresql_nothing_is_acknowledged_and_the_log_has_one_line(
    tmp_path: Path, postgres_server: str, database_url: str, redis_url: str, client: Redis
) -> None:
    name = database_url.rpartition("/")[2]
    async with (
        connected(f"{postgres_server.rpartition('/')[0]}/postgres") as admin,
        daemon(WORKER, tmp_path, database_url, redis_url),
    ):
        await until(lambda: "ready" in log_of(tmp_path))
        await admin.execute(f"alter database {name} allow_connections false")
        # With a timeout it returns when they are gone, not when they have been notified.
        await admin.execute(
            "select pg_terminate_backend(pid, 9000) from pg_stat_activity where datname = $1", name
        )
        await post(client, *mixed(30))
        await until(lambda: "retrying" in log_of(tmp_path))
        assert await client.xlen(keys.STREAM) == 30

        async def refused() -> bool:
            said = await client.get(METRICS.standstill)
            return said is not None and "not currently accepting connections" in Standstill.from_json(said).reason

        await until(refused)
        # It is said again and again, and expires where the worker is gone.
        assert 0 < await client.pttl(METRICS.standstill) <= EXPIRY_MS
        await admin.execute(f"alter database {name} allow_connections true")
        await until(lambda: _shows(client, 30))
        await until(lambda: "works again" in log_of(tmp_path))

        async def taken_back() -> bool:
            return not await client.exists(METRICS.standstill)

        await until(taken_back)
        # The first line is the connection that broke, a second may name what refused the next ones.
        assert 1 <= log_of(tmp_path).count("retrying") <= 2


async def test_redis_may_come_late_and_go_away(tmp_path: Path, database_url: str, connection: Database) -> None:
    settings = Settings.from_env({"COFFEE_HOME": str(tmp_path), "COFFEE_REDIS_PORT": str(free_port())})
    part = redis_stack.part(settings)
    async with daemon(WORKER, tmp_path / "worker", database_url, settings.redis_url):
        await until(lambda: "retrying" in log_of(tmp_path / "worker"))
        for already in (0, 40):
            with serving(part, settings, tmp_path / "redis.log"):
                async with open_redis(settings.redis_url) as client:
                    await until(lambda client=client, already=already: _shows(client, already))
                    await post(client, *mixed(40))
                    await until(lambda client=client, already=already: _shows(client, already + 40))
                    assert await shown(client, METRICS) == await stored(connection, "v2")
