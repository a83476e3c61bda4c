"""What ``coffee reconcile``, ``replay``, ``savepoint`` and ``dead-letters`` do for v3."""

import asyncio
import time
from dataclasses import replace
from typing import Any

from redis.asyncio import Redis

from backend.clients.daemon import open_redis
from backend.clients.kafka import (
    Bounds,
    KafkaLogs,
    above,
    commit_offsets,
    open_logs,
)
from backend.clients.servers import Servers, UnreachableError, naming_servers, open_servers
from backend.pipelines.audit import audit
from backend.pipelines.balance import Balance, read_shown, summary_line, whole_number
from backend.pipelines.repair import Mended, Progress, Savepoint
from backend.pipelines.topic.replay import Replayed
from backend.pipelines.v3_kafka.audit import METRICS, audit_v3, known_windows
from backend.pipelines.v3_kafka.last_records import find_lost_ends
from coffee_core.errors import CoffeeError
from coffee_core.keys import FLINK_GROUP, SAVEPOINTS, TOPIC
from coffee_core.pipelines.constants import V3
from coffee_core.resources import lua
from coffee_core.server_urls import place
from coffee_core.settings import Settings
from flink.checkpoints import checkpoints_uri
from flink.options import EPOCH_PARAMETER
from flink.rest import FlinkRest, FlinkUnavailableError


async def compare(settings: Settings, settle_s: float) -> Mended:
    """Tell how far the metrics have drifted. Raises UnreachableError, and CoffeeError where a server refuses.

    A patched key would be undone, for the totals come whole out of the job's state: only a replay mends them.
    """
    (balance,) = await audit(settings, (V3,), settle_s=settle_s)
    advice = "Flink's state is its truth: `coffee replay v3` counts the whole topic anew"
    return Mended.of_drift(V3, balance.drift, advice=advice)


# ``coffee replay v3``: the whole topic once more into empty state, until the totals are those of the rows again.

_EPOCH_WITHIN_S = 5.0
_STEP_S = 0.2
_AT_REST_S = 2.0
_MOST_COUNTED = 20_000
"""Offsets of which it is looked up whether they hold records."""
_SETTLE_S = 30.0
"""Seconds in which the rows, which go to PostgreSQL on their own, have followed what is shown."""
STALLED_AFTER_S = 180.0
"""Seconds without progress after which the command gives up; a job is submitted in ten."""


async def replay_v3(settings: Settings, progress: Progress, stalled_after_s: float = STALLED_AFTER_S) -> Replayed:
    """Replay, and return once totals and rows agree; orders may keep flowing.

    All that is changed is the epoch in Redis, in one step with the keys. From then on the old job may not write
    there, and the submitter of the job cancels it and submits another, whether this command lives on or not.

    Raises UnreachableError; CoffeeError before anything is changed where the topic is not whole or nobody would
    submit a job, and afterwards where nothing moves, the numbers do not meet or another replay has begun. The
    replay itself goes on then.
    """
    started = time.monotonic()
    async with open_servers(settings) as servers, open_logs(settings) as logs:
        rows = await _rows_of_whole_topic(servers, logs)
        # Whether a job runs does not matter: it would end, and the submitter begins another.
        ((_, submitters),) = await servers.client.pubsub_numsub(METRICS.watched)
        if not submitters:
            raise CoffeeError(
                "flink-job is not there to begin a job of another epoch, nothing was changed: see `coffee status`"
            )
        ends = await logs.bounds(TOPIC)
        epoch = await begin_epoch(servers.client)
        counted = await _wait_until_counted(servers, logs, ends, epoch, progress, stalled_after_s)
        balance = await _wait_until_balanced(servers, logs, rows)
        await _check_epoch(servers.client, epoch)
    seconds = round(time.monotonic() - started, 1)
    return Replayed(V3, counted, balance.shown.orders, balance.shown.revenue_cents, seconds, epoch)


async def _rows_of_whole_topic(servers: Servers, logs: KafkaLogs) -> int:
    """Return the number of rows. Raises CoffeeError where the topic cannot bring back what is stored."""
    bounds = await logs.bounds(TOPIC)
    deleted = sum(first for first, _ in bounds.values())
    records = sum(last for _, last in bounds.values())
    rows = int(await servers.database.fetchval("select count(*) from orders where version = $1", str(V3)))
    # One that has lost its end will not get it back, and holds orders that were passed over.
    if deleted or (rows > records and not await find_lost_ends(servers.client, logs, bounds)):
        missing = max(deleted, rows - records)
        raise CoffeeError(
            f"the topic no longer holds {missing:,} records: a replay would end on less; nothing was changed"
        )
    return rows


async def begin_epoch(client: Redis) -> int:
    """Begin another epoch with nothing shown, and return it. Raises CoffeeError where there is no epoch."""
    script = client.register_script(lua("backend.pipelines.v3_kafka", "replay"))
    windows = (METRICS.late, METRICS.watermark, *map(METRICS.window, known_windows()))
    # What the job before had read means nothing to the next one.
    beside = (METRICS.last_records, *windows)
    give_up_at = time.monotonic() + _EPOCH_WITHIN_S
    while True:
        epoch: Any = await script(keys=(METRICS.epoch, *METRICS.metrics, METRICS.counters, *beside))
        if epoch is not None:
            return int(epoch)
        if time.monotonic() > give_up_at:
            raise CoffeeError("Redis has no epoch of v3, and flink-job does not put it back: see `coffee status`")
        await asyncio.sleep(_STEP_S)


async def counted_records(client: Redis) -> int:
    """Return how many records the job's state has counted, as last written to Redis."""
    _, _, counters = await read_shown(client, METRICS)
    return sum(whole_number(name, counters.get(name)) for name in ("shown_orders", "duplicates", "dead"))


async def _wait_until_counted(
    servers: Servers, logs: KafkaLogs, ends: Bounds, epoch: int, progress: Progress, stalled_after_s: float
) -> int:
    """Wait until what was on the topic at the beginning has been counted; return how many records that were."""
    offsets = sum(last - first for first, last in ends.values())
    last, moved_at, looked_at = -1, time.monotonic(), 0.0
    while True:
        await _check_epoch(servers.client, epoch)
        counted = await counted_records(servers.client)
        progress(min(counted, offsets), offsets)
        if counted >= offsets:
            return offsets
        now = time.monotonic()
        if not counted:
            await _forget_positions(servers.settings, logs)
        if counted != last:
            last, moved_at = counted, now
        elif now - moved_at > stalled_after_s:
            raise CoffeeError(
                f"{counted:,} of {offsets:,} records are counted and nothing moves: see `coffee status` and the"
                " log of flink-job; the replay goes on once its job runs"
            )
        elif now - moved_at > _AT_REST_S and now - looked_at > _AT_REST_S:
            looked_at = now
            # Offsets are not records: of some nothing will ever come.
            rest = above(ends, await logs.committed(FLINK_GROUP, TOPIC))
            few = sum(last - first for first, last in rest.values()) <= _MOST_COUNTED
            if few and not await logs.count(TOPIC, rest):
                return counted
        await asyncio.sleep(_STEP_S)


async def _check_epoch(client: Redis, epoch: int) -> None:
    """Raise CoffeeError where another replay has begun."""
    current = await client.get(METRICS.epoch)
    if current is not None and current != str(epoch):
        raise CoffeeError(
            f"another replay has overtaken this one: epoch {current} counts the topic, no longer epoch {epoch}"
        )


async def _forget_positions(settings: Settings, logs: KafkaLogs) -> None:
    """Commit the beginning of the topic, until the new job has counted something and commits by itself.

    The positions of the old job, which may still commit them while it ends, are not those of what is shown now.
    """
    bounds, committed = await logs.bounds(TOPIC), await logs.committed(FLINK_GROUP, TOPIC)
    beginning = {partition: first for partition, (first, _) in bounds.items()}
    if any(committed.get(partition, first) != first for partition, first in beginning.items()):
        await commit_offsets(settings, FLINK_GROUP, TOPIC, beginning)


async def _wait_until_balanced(servers: Servers, logs: KafkaLogs, rows: int) -> Balance:
    """Wait until everything balances with no fewer orders than the rows of the beginning.

    As many records counted as there were may be others: orders that came meanwhile, on a partition that was ahead.
    """
    give_up_at = time.monotonic() + _SETTLE_S
    while True:
        balance = await audit_v3(servers, logs, unique_timestamps=False)
        # A log that has lost its end stays so.
        if replace(balance, truncated=0).balanced and balance.shown.orders >= rows:
            return balance
        if time.monotonic() > give_up_at:
            raise CoffeeError(f"the whole topic is counted, but not balanced: {summary_line(balance)}")
        await asyncio.sleep(_STEP_S)


# ``coffee savepoint``: the state of v3's job as a whole, kept until somebody removes it.

_FLINK_TIMEOUT_S = 10.0


async def take_savepoint(settings: Settings, *, stop: bool) -> Savepoint:
    """Take a savepoint, and with ``stop`` end the job with it.

    It lies beside the checkpoints of the epoch, where the submitter looks for what to continue from: a job that
    was stopped with a savepoint begins again there, with whatever code and settings the submitter has by then.

    Raises UnreachableError; CoffeeError where no job runs or Flink cannot complete it: the job then runs on.
    """
    with naming_servers(settings):
        async with open_redis(settings.redis_url) as client:
            epoch = await client.get(METRICS.epoch)
    if epoch is None:
        raise CoffeeError("Redis has no epoch of v3: see `coffee status`")
    folder = f"{checkpoints_uri(settings, epoch)}/{SAVEPOINTS}"
    started = time.monotonic()
    try:
        async with FlinkRest(settings.flink_rest_url, _FLINK_TIMEOUT_S) as flink:
            running = [job for job in await flink.jobs() if job.state == "RUNNING"]
            if not running:
                raise CoffeeError("no job of v3 runs: see `coffee status`")
            # The state of a job that a replay is about to end is not what the next one begins with.
            if await flink.parameter(running[0], EPOCH_PARAMETER) not in (epoch, None):
                raise CoffeeError(
                    f"a replay has just begun, and the job of epoch {epoch} does not run yet: try again"
                )
            uri = await flink.savepoint(running[0], folder, stop=stop)
    except FlinkUnavailableError as error:
        raise UnreachableError(
            f"Flink at {place(settings.flink_rest_url)} cannot be reached ({error}): `coffee status` tells"
        ) from error
    return Savepoint(uri, running[0].id, stop, round(time.monotonic() - started, 1))
