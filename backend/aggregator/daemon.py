"""The loop: a run at each due time, whatever the servers do."""

import asyncio
import logging
import time
from contextlib import AsyncExitStack

from backend.aggregator.run import Aggregator
from backend.aggregator.schedule import Schedule
from backend.aggregator.stand_back import open_scanner
from backend.daemon import OUTAGES, Outage, open_redis, sleep

_log = logging.getLogger(__name__)
STATEMENT_TIMEOUT_S = 600.0
"""Seconds that a full scan may take."""


async def run_aggregator(stop: asyncio.Event, database_url: str, redis_url: str, interval_s: float) -> None:
    """Run at once and then every ``interval_s`` seconds until told to stop; the run in hand is finished first.

    A run that fails is tried again with backoff, not only when the next is due.
    """
    outage = Outage(stop, _log)
    schedule = Schedule(interval_s, time.monotonic())
    said_ready = False
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
                    if not said_ready:
                        _log.info("ready, every %g s", interval_s)
                        said_ready = True
                    if not written:
                        _log.info("another aggregator was first")
                    now = time.monotonic()
                    await sleep(schedule.next_s(now) - now, stop)
        except OUTAGES as error:
            await outage.failed(error)
