"""A worker that stands still for so long that another takes its entries, and then goes on."""

import signal
from pathlib import Path

from redis.asyncio import Redis

from backend.clients.daemon import Database
from backend.pipelines.v2_streams.batch import METRICS
from coffee_core import keys
from tests.integration.backend.pipelines.v2_streams.bench import assert_exact, counters, mixed, post
from tests.integration.daemons import daemon, log_of
from tests.servers import halt
from tests.waiting import until

WORKER = "backend.pipelines.v2_streams.worker"
BATCH = 200


async def _shows(client: Redis, orders: int) -> bool:
    return (await client.get(METRICS.total_orders)) == str(orders)


async def test_a_thawed_worker_has_no_effect_on_what_another_has_finished(
    tmp_path: Path, database_url: str, redis_url: str, connection: Database, client: Redis
) -> None:
    limit = {"COFFEE_WORKER_BATCH_ORDERS": str(BATCH)}
    orders = mixed(2 * BATCH)
    async with daemon(WORKER, tmp_path / "frozen", database_url, redis_url, **limit) as frozen:
        await until(lambda: "ready" in log_of(tmp_path / "frozen"), 60)
        async with connection.transaction():
            await connection.execute("lock table orders_v2 in exclusive mode")
            await post(client, *orders)

            async def inserts() -> bool:
                waiting: int = await connection.fetchval(
                    "select count(*) from pg_stat_activity"
                    " where datname = current_database() and wait_event_type = 'Lock'"
                )
                return waiting > 0

            await until(inserts, 60)
            halt(frozen)
        async with daemon(
            WORKER, tmp_path / "other", database_url, redis_url, COFFEE_WORKER_NAME="other", **limit
        ):
            # The other repeats what the frozen one has stored by now, and counts it.
            await until(lambda: _shows(client, 2 * BATCH), 60)
            assert "took over" in log_of(tmp_path / "other")
        looked_into = (await counters(client))["reconciled"]
        frozen.send_signal(signal.SIGCONT)

        async def noticed() -> bool:
            found = await counters(client)
            return "suspect" in found or found["reconciled"] > looked_into

        await until(noticed, 60)
        await post(client, *mixed(50, seed=2), *orders[:7])
        await until(lambda: _shows(client, 2 * BATCH + 50), 60)

        async def at_rest() -> bool:
            return not await client.xlen(keys.STREAM) and "suspect" not in await counters(client)

        await until(at_rest, 60)
        assert frozen.returncode is None
    await assert_exact(connection, client, 2 * BATCH + 50)
    assert (await counters(client))["duplicates"] == 7
