"""v1's aggregator: one SQL statement over all rows, then one write to Redis, fenced.

``python -m backend.pipelines.v1_direct.aggregator`` recomputes v1's metrics every
``COFFEE_AGGREGATOR_INTERVAL_S`` seconds; with ``COFFEE_RECONCILE_INTERVAL_S`` its process also runs
``backend.pipelines.reconciler`` for the other pipelines.

``--once`` runs it once, for another cron; the dashboard then expects the next run after that interval.
"""

import asyncio
import logging
import sys
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import psutil
from redis.asyncio import Redis

from backend.clients.daemon import OUTAGES, Database, Outage, Report, open_postgres, open_redis, run_daemon, sleep
from backend.clients.postgres import BROKEN
from backend.pipelines.reconciler import run_reconciliations
from backend.pipelines.schedule import Schedule
from backend.pipelines.v1_direct.fence import METRICS, Fence
from backend.pipelines.whole_totals import WRITE_TOTALS, replace_totals
from coffee_core.clock import now_us, to_datetime
from coffee_core.errors import CoffeeError
from coffee_core.pipelines import Repair
from coffee_core.pipelines.constants import V1
from coffee_core.priority import lower_session_priority
from coffee_core.resources import sql
from coffee_core.runstate import tell_ready
from coffee_core.settings import Settings
from coffee_core.tasks import run_together
from coffee_core.totals import Totals

_log = logging.getLogger("backend.pipelines.v1_direct.aggregator")  # run with -m this module is __main__


@dataclass(frozen=True, slots=True)
class RunTotals:
    """The result of one scan."""

    fence: Fence
    """The snapshot that the scan saw."""
    totals: Totals
    """Totals of all orders in that snapshot."""
    latency: Counter[int]
    """Bucket of ``coffee_core.latency`` → orders that the previous run's snapshot did not have."""


async def read_fence(client: Redis) -> Fence:
    """Return the fence to start a run from. Raises an error of Redis."""
    return Fence.parse(await client.get(METRICS.fence))


_TOTALS = sql("backend.pipelines.v1_direct", "totals")


async def read_totals(connection: Database, previous: Fence, expected_us: int = 0) -> RunTotals:
    """Add up the orders; ``expected_us`` is how long, in µs, the run is likely to take until it is visible.

    Raises asyncpg's errors.
    """
    taken_at_us = now_us()
    rows = await connection.fetch(_TOTALS, previous.snapshot, to_datetime(previous.taken_at_us), expected_us)
    groups = [row for row in rows if row["drink"] is not None]
    latency: Counter[int] = Counter()
    for row in groups:
        if row["bucket"] is not None:
            latency[row["bucket"]] += row["orders"]
    return RunTotals(Fence(rows[0]["snapshot"], taken_at_us), Totals.of_groups(_as_groups(groups)), latency)


async def read_shown_and_new(connection: Database, fence: Fence) -> tuple[Totals, Totals]:
    """Return the totals of the orders that the fence's run has shown and of those that it has not, for an audit.

    Raises asyncpg's errors.
    """
    rows = await connection.fetch(_TOTALS, fence.snapshot, to_datetime(fence.taken_at_us), 0)
    groups = [row for row in rows if row["drink"] is not None]
    shown = Totals.of_groups(_as_groups(row for row in groups if row["bucket"] is None))
    return shown, Totals.of_groups(_as_groups(row for row in groups if row["bucket"] is not None))


def _as_groups(groups: Iterable[Any]) -> Iterable[tuple[str, str, int, int]]:
    return ((row["drink"], row["store"], row["orders"], row["cents"]) for row in groups)


async def write_totals(client: Redis, previous: Fence, run: RunTotals, run_us: int, next_run_us: int) -> bool:
    """Replace the metrics as a whole and add to the latency; False where another run came first.

    ``run_us`` is how long the run took and ``next_run_us`` when the next is due, both in µs. Raises an error of
    Redis, with nothing written.
    """
    fences = str(previous), str(run.fence)
    counters = {"last_run_us": run_us, "next_run_us": next_run_us}
    return await replace_totals(
        client.register_script(WRITE_TOTALS), METRICS, fences, run.totals, run.latency, counters
    )


class Aggregator:
    """Runs of the aggregator on one connection to each server."""

    def __init__(self, connection: Database, client: Redis) -> None:
        self._connection = connection
        self._client = client
        self._last_us = 0

    async def run(self, next_run_us: int) -> bool:
        """Do one run; False where another aggregator's came first, which leaves nothing to do.

        Raises the errors of both servers.
        """
        started = time.monotonic_ns()
        previous = await read_fence(self._client)
        run = await read_totals(self._connection, previous, self._last_us)
        self._last_us = (time.monotonic_ns() - started) // 1_000
        return await write_totals(self._client, previous, run, self._last_us, next_run_us)


STATEMENT_TIMEOUT_S = 600.0
"""Seconds that a full scan may take."""
NICE = 10
"""Niceness of the scan's backend: a tenth of a core against a process that takes orders; all of it alone."""


async def open_scanner(url: str, statement_timeout_s: float) -> Database:
    """Connect as ``open_postgres`` does, for scans, at a lower priority; raises an error of ``OUTAGES``."""
    connection = await open_postgres(url, statement_timeout_s)
    try:
        row = await connection.fetchrow("select pg_backend_pid(), inet_client_port()")
    except BROKEN:
        connection.terminate()
        raise
    assert row is not None, "a select of two functions has a row"
    # PostgreSQL's backend of the scan runs at a lower priority where it is on this machine: orders come first.
    lower_backend_priority(*row)
    return connection


def lower_backend_priority(pid: int, our_port: int | None) -> None:
    """Lower the priority of the process that serves the connection from our port, if it is on this machine."""
    try:
        us, server = psutil.Process(), psutil.Process(pid)
        # A server elsewhere, or in a container, has another process under that number here; a pooler's server
        # processes serve others, too.
        direct = our_port in {connection.laddr.port for connection in us.net_connections("tcp")}
        if direct and our_port in {peer.raddr.port for peer in server.net_connections("tcp") if peer.raddr}:
            server.nice(max(NICE, server.nice()))
            lower_session_priority(pid, NICE)
    except psutil.Error as error:
        _log.debug("the scan keeps its priority: %s", error)


async def run_aggregator(stop: asyncio.Event, database_url: str, redis_url: str, interval_s: float) -> None:
    """Run at once and then every ``interval_s`` seconds until ``stop`` is set; the current run is finished first.

    A run that fails is tried again with backoff, not only when the next is due.
    """
    report = Report(redis_url, METRICS.standstill, "cafe-order-aggregator")
    outage = Outage(stop, _log, report)
    schedule = Schedule(interval_s, time.monotonic())
    has_been_ready = False
    while not stop.is_set():
        try:
            async with AsyncExitStack() as stack:
                client = await stack.enter_async_context(open_redis(redis_url))
                connection = await open_scanner(database_url, STATEMENT_TIMEOUT_S)
                # Not close(), which would wait for a server that hangs.
                stack.callback(connection.terminate)
                aggregator = Aggregator(connection, client)
                while not stop.is_set():
                    written = await aggregator.run(schedule.next_us(time.monotonic()))
                    outage.over()
                    if not has_been_ready:
                        _log.info("ready, every %g s", interval_s)
                        has_been_ready = True
                    if not written:
                        _log.info("another aggregator was first")
                    now = time.monotonic()
                    await sleep(schedule.next_s(now) - now, stop)
        except OUTAGES as error:
            await outage.failed(error)
    await report.close()


async def _run(stop: asyncio.Event) -> None:
    settings = Settings.attach()
    others = [
        pipeline for pipeline in settings.pipelines if pipeline != V1 and Repair.RECONCILE in pipeline.info.repairs
    ]
    work = [run_reconciliations(stop, others, settings.reconcile_interval_s)]
    if V1 in settings.pipelines:
        urls = (settings.database_url, settings.redis_url)
        work.append(run_aggregator(stop, *urls, settings.aggregator_interval_s))
    else:
        tell_ready(ready=True)
    await run_together(*work)


def aggregate_once() -> int:
    """Run once; return the exit code: 0, or 1 with one line on stderr where a server could not do its part."""
    began = time.monotonic()
    try:
        written = asyncio.run(_run_once(Settings.attach()))
    except (CoffeeError, *OUTAGES) as error:
        sys.stderr.write(f"cannot aggregate: {type(error).__name__}: {error}\n")
        return 1
    what = "v1's metrics are written" if written else "a newer run was first"
    sys.stdout.write(f"{what}, after {time.monotonic() - began:.2f} s\n")
    return 0


async def _run_once(settings: Settings) -> bool:
    async with open_redis(settings.redis_url) as client:
        connection = await open_scanner(settings.database_url, STATEMENT_TIMEOUT_S)
        try:
            return await Aggregator(connection, client).run(now_us() + settings.aggregator_interval_s * 1_000_000)
        finally:
            # Not close(), which would wait for a server that hangs.
            connection.terminate()


if __name__ == "__main__":
    sys.exit(aggregate_once() if sys.argv[1:] == ["--once"] else run_daemon("aggregator", _run))
