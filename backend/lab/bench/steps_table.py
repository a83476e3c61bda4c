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
RUN_FIGURE = f"{TABLE_PIPELINE}.table.run"
"""Seconds of one run over ``Size.table_rows``."""
_RUNS = 5
_RATE_PER_S = 500
_STATEMENT_WITHIN_S = 120.0


async def big_table(harness: Harness) -> None:
    """Put many rows into v1's table, aggregate again and again under load, and take them out again."""
    async with _filled(harness):
        for _ in range(harness.size.table_rounds):
            await _load(harness, "without")
            async with _aggregating(harness):
                await _load(harness, "during")


async def runs_over_big_table(harness: Harness) -> None:
    """Do so without a load: how long a run takes, by which v1 grows late."""
    async with _filled(harness), _scanner(harness) as aggregator:
        for _ in range(_RUNS):
            await _timed_run(harness, aggregator)


@asynccontextmanager
async def _filled(harness: Harness) -> AsyncIterator[None]:
    await harness.settle(harness.pipelines)
    daemon = await TargetStack(harness.settings).find(TABLE_PIPELINE.info.processor)
    assert daemon.pid is not None
    connection = await open_postgres(harness.settings.database_url, _STATEMENT_WITHIN_S)
    try:
        # Its own runs would fall into the load that is measured without any.
        with frozen(daemon.pid):
            async with _rows(harness, connection):
                yield
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
    ending = False

    async def again() -> None:
        async with _scanner(harness) as aggregator:
            while not ending:
                await _timed_run(harness, aggregator)

    runs = asyncio.create_task(again())
    try:
        yield
    finally:
        ending = True
        await runs


@asynccontextmanager
async def _scanner(harness: Harness) -> AsyncIterator[Aggregator]:
    connection = await open_scanner(harness.settings.database_url, _STATEMENT_WITHIN_S)
    try:
        async with open_redis(harness.settings.redis_url) as client:
            yield Aggregator(connection, client)
    finally:
        await connection.close()


async def _timed_run(harness: Harness, aggregator: Aggregator) -> None:
    started_s = time.perf_counter()
    await aggregator.run(now_us())
    harness.figures.add(RUN_FIGURE, time.perf_counter() - started_s, "s")


async def _load(harness: Harness, name: str) -> None:
    (load,) = await harness.load(f"table.{name}", [TABLE_PIPELINE], independent(_RATE_PER_S), harness.size.load_s)
    harness.figures.add(f"v1.table.{name}.api.p99", harness.measured(load).api.p99, "µs")
