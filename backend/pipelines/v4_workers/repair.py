"""What ``coffee reconcile`` and ``coffee replay`` do for v4."""

import asyncio
import time
from dataclasses import replace

from backend.clients.kafka import KafkaLogs, open_logs
from backend.clients.servers import Servers, open_servers
from backend.pipelines.balance import summary_line
from backend.pipelines.repair import Mended, Progress
from backend.pipelines.topic.replay import Replayed
from backend.pipelines.v4_workers.audit import audit_v4, replaced_partitions
from backend.pipelines.v4_workers.reconcile import (
    PACKAGE,
    SCRIPT_KEYS,
    read_stored,
    reconcile,
    take_cut,
)
from coffee_core.errors import CoffeeError
from coffee_core.keys import WORKERS_TOPIC
from coffee_core.pipelines.constants import V4
from coffee_core.resources import lua, sql
from coffee_core.settings import Settings

_ATTEMPTS, _PAUSE_S = 20, 0.25


async def reconcile_v4(settings: Settings) -> Mended:
    """Add what a cut of the metrics lacks. Raises UnreachableError, and CoffeeError where a group is behind."""
    async with open_servers(settings) as servers:
        for _ in range(_ATTEMPTS):
            drift = await reconcile(servers.database, servers.client)
            if drift is not None:
                return Mended.of_drift(V4, drift)
            await asyncio.sleep(_PAUSE_S)
    raise CoffeeError(
        "one of v4's groups is behind the other, and a difference cannot be told from what is on its way: see"
        " `coffee status`"
    )


# ``coffee replay v4``: the whole topic once more, until the totals are those of the rows again.

_BEGIN_AGAIN = sql(PACKAGE, "begin_again")
_STEP_S = 0.2
_SETTLE_S = 30.0
"""Seconds in which the numbers meet once everything is counted."""
STALLED_AFTER_S = 60.0
"""Seconds without progress after which the command gives up."""


async def replay_v4(settings: Settings, progress: Progress, stalled_after_s: float = STALLED_AFTER_S) -> Replayed:
    """Count the whole topic again, and return once totals and rows agree; orders may keep flowing.

    All that is changed are the keys in Redis, in one step: the aggregators find their offsets gone and begin
    again, whether this command lives on or not. Orders whose records are gone come from the table, at the end.

    Raises UnreachableError; CoffeeError where nothing moves or the numbers do not meet: the replay itself goes on.
    """
    started_s = time.monotonic()
    async with open_servers(settings) as servers, open_logs(settings) as logs:
        await _follow_topic_made_anew(servers, logs)
        rows = int(await servers.database.fetchval("select count(*) from orders_v4"))
        await servers.client.register_script(lua(PACKAGE, "replay"))(keys=SCRIPT_KEYS)
        # Afterwards: whatever the workers have taken for known before is counted, and compared, by the end of it.
        ends = {number: last for number, (_, last) in (await logs.bounds(WORKERS_TOPIC)).items()}
        await _wait_until_counted(servers, ends, progress, stalled_after_s)
        give_up_at_s = time.monotonic() + _SETTLE_S
        while True:
            # Rows whose records are gone: no aggregator can count them.
            await reconcile(servers.database, servers.client)
            balance = await audit_v4(servers, logs, unique_timestamps=False)
            # A log that is short of orders stays so.
            if replace(balance, log_short=0, truncated=0).balanced and balance.shown.orders >= rows:
                break
            if time.monotonic() > give_up_at_s:
                raise CoffeeError(f"the whole topic is counted, but not balanced: {summary_line(balance)}")
            await asyncio.sleep(_STEP_S)
    shown, seconds = balance.shown, round(time.monotonic() - started_s, 1)
    return Replayed(V4, sum(ends.values()), shown.orders, shown.revenue_cents, seconds)


async def _follow_topic_made_anew(servers: Servers, logs: KafkaLogs) -> None:
    """Let the workers begin again with partitions that are not what they stored: another topic, or cut off."""
    # The offsets first: what is stored meanwhile was on the topic.
    stored = await read_stored(servers.database)
    bounds = await logs.bounds(WORKERS_TOPIC)
    anew = [number for number, offset in stored.offsets.items() if offset > bounds.get(number, (0, 0))[1]]
    anew += await replaced_partitions(logs, bounds, stored)
    if anew:
        await servers.database.execute(_BEGIN_AGAIN, anew)


async def _wait_until_counted(
    servers: Servers, ends: dict[int, int], progress: Progress, stalled_after_s: float
) -> None:
    """Wait until what was on the topic at the beginning has been counted."""
    offsets, last, moved_at_s = sum(ends.values()), -1, time.monotonic()
    while last < offsets:
        counted = (await take_cut(servers.client)).offsets
        done = sum(min(end, counted.get(number, 0)) for number, end in ends.items())
        progress(done, offsets)
        if done != last:
            last, moved_at_s = done, time.monotonic()
        elif time.monotonic() - moved_at_s > stalled_after_s:
            raise CoffeeError(
                f"{done:,} of {offsets:,} offsets are counted and nothing moves: does a kafka-aggregator run?"
                " `coffee status` tells; the replay goes on once it does"
            )
        await asyncio.sleep(_STEP_S)
