"""v1 with a table of a million rows: how long its aggregator takes, and what its API feels of that."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from backend.clients.daemon import Database, open_postgres, open_redis
from backend.lab.bench.harness import Harness
from backend.lab.bench.steps_load import independent
from backend.lab.chaos.restorer import frozen
from backend.lab.chaos.target import TargetStack
from backend.pipelines.v1_direct.aggregator import Aggregator, open_scanner
from coffee_core.clock import now_us
from coffee_core.pipelines.constants import V1
from coffee_core.resources import sql

TABLE_PIPELINE = V1
"""Whose table it is: the step runs v1's own aggregator, and no other pipeline has one."""
_RATE_PER_S = 500
_STATEMENT_WITHIN_S = 120.0


async def big_table(harness: Harness) -> None:
    """Put many rows into v1's table, aggregate again and again under load, and take them out again."""
    await harness.settle(harness.pipelines)
    daemon = await TargetStack(harness.settings).find(TABLE_PIPELINE.info.processor)
    assert daemon.pid is not None
    connection = await open_postgres(harness.settings.database_url, _STATEMENT_WITHIN_S)
    try:
        # Its own runs would fall into the load that is measured without any.
        with frozen(daemon.pid):
            async with _rows(harness, connection):
                for _ in range(harness.size.table_rounds):
                    await _load(harness, "without")
                    async with _aggregating(harness):
                        await _load(harness, "during")
            async with open_redis(harness.settings.redis_url) as client:
                await Aggregator(connection, client).run(now_us())
    finally:
        await connection.close()


@asynccontextmanager
async def _rows(harness: Harness, connection: Database) -> AsyncIterator[None]:
    await connection.execute(sql("backend.lab.bench", "seed"), harness.size.table_rows)
    await connection.execute(sql("backend.lab.bench", "tidy"))
    yield
    # Not after an error: rows that stay are counted, rows that go without a run after it would be a drift.
    await connection.execute(sql("backend.lab.bench", "unseed"))


@asynccontextmanager
async def _aggregating(harness: Harness) -> AsyncIterator[None]:
    """Run the aggregator without a pause for the length of the block; note how long each run takes."""
    connection, ending = await open_scanner(harness.settings.database_url, _STATEMENT_WITHIN_S), False

    async def again() -> None:
        async with open_redis(harness.settings.redis_url) as client:
            aggregator = Aggregator(connection, client)
            while not ending:
                started_s = time.perf_counter()
                await aggregator.run(now_us())
                harness.figures.add("v1.table.run", time.perf_counter() - started_s, "s")

    runs = asyncio.create_task(again())
    try:
        yield
    finally:
        ending = True
        await runs
        await connection.close()


async def _load(harness: Harness, name: str) -> None:
    (load,) = await harness.load(f"table.{name}", [TABLE_PIPELINE], independent(_RATE_PER_S), harness.size.load_s)
    harness.figures.add(f"v1.table.{name}.api.p99", harness.measured(load).api.p99, "µs")
