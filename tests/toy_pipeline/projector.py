"""``python -m tests.toy_pipeline.projector``: shows the totals of all rows, ten times a second."""

import asyncio
import logging
import sys
from contextlib import AsyncExitStack

from redis.asyncio import Redis

from backend.clients.daemon import OUTAGES, Database, Outage, open_postgres, open_redis, run_daemon, sleep
from backend.pipelines.balance import totals_of_rows
from coffee_core.clock import now_us
from coffee_core.keys import MetricKeys
from coffee_core.pipelines import Pipeline
from coffee_core.resources import sql
from coffee_core.settings import Settings

TOY = Pipeline("toy")
KEYS = MetricKeys(TOY)
_TOTALS = sql("tests.toy_pipeline", "totals")
_STEP_S = 0.1


async def project(connection: Database, client: Redis) -> None:
    """Write the six keys as one, total_orders last. Only one process does so: there is nothing to fence."""
    totals = totals_of_rows(await connection.fetch(_TOTALS))
    hashes = (
        (KEYS.drink_counts, totals.drink_counts),
        (KEYS.drink_revenue, totals.drink_revenue_cents),
        (KEYS.store_counts, totals.store_counts),
        (KEYS.store_revenue, totals.store_revenue_cents),
    )
    async with client.pipeline(transaction=True) as write:
        write.set(KEYS.total_revenue, totals.revenue_cents)
        for key, values in hashes:
            write.delete(key)
            if values:
                write.hset(key, mapping=dict(values))
        write.hset(KEYS.counters, "last_update_us", now_us())
        write.set(KEYS.total_orders, totals.orders)
        await write.execute()


async def _run(stop: asyncio.Event) -> None:
    settings = Settings.attach()
    outage = Outage(stop, logging.getLogger("backend.toy_projector"))
    while not stop.is_set():
        try:
            async with AsyncExitStack() as stack:
                client = await stack.enter_async_context(open_redis(settings.redis_url))
                connection = await open_postgres(settings.database_url)
                stack.callback(connection.terminate)
                outage.begins()
                while not stop.is_set():
                    await project(connection, client)
                    outage.over()
                    await sleep(_STEP_S, stop)
        except OUTAGES as error:
            await outage.failed(error)


if __name__ == "__main__":
    sys.exit(run_daemon("toy-projector", _run))
