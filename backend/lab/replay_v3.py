"""``coffee replay v3``: the whole topic once more into empty state, until the totals are those of the rows again.

All that is changed is the epoch in Redis, in one step with the keys. From then on the old job may not write there,
and the submitter of the job cancels it and submits another, whether this command lives on or not.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from backend.lab.audit_balance import Balance
from backend.lab.audit_kafka import KafkaLogs, open_logs
from backend.lab.audit_report import sentence
from backend.lab.audit_tally import number, read_shown
from backend.lab.audit_v3 import METRICS, audit_v3
from backend.lab.audit_windows import known_windows
from backend.lab.resources import lua
from backend.lab.servers import Servers, open_servers
from coffee_core.errors import CoffeeError
from coffee_core.keys import TOPIC
from coffee_core.pipelines import Pipeline
from coffee_core.settings import Settings

_EPOCH_WITHIN_S = 5.0
_STEP_S = 0.2
_SETTLE_S = 30.0
"""Seconds in which the rows, which go to PostgreSQL on their own, have followed what is shown."""
STALLED_AFTER_S = 180.0
"""Seconds without progress after which the command gives up; a job is submitted in ten."""
Tell = Callable[[int, int], None]
"""Told, now and then, how many records have been counted, and how many there are to count."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """A replay that has ended on the totals of the rows."""

    pipeline: Pipeline
    epoch: int
    """Epoch of the job that counted."""
    records: int
    """Length of the topic when the replay began."""
    orders: int
    """Orders shown at the end."""
    revenue_cents: int
    """Cents shown at the end."""
    seconds: float
    """How long it took."""


async def replay_v3(settings: Settings, tell: Tell, stalled_after_s: float = STALLED_AFTER_S) -> Replayed:
    """Replay, and return once totals and rows agree; orders may keep flowing.

    Raises UnreachableError; CoffeeError before anything is changed where the topic is not whole or nobody would
    submit a job, and afterwards where nothing moves or the numbers do not meet. The replay itself goes on then.
    """
    started = time.monotonic()
    async with open_servers(settings) as servers, open_logs(settings) as logs:
        rows, records = await _whole_topic(servers, logs)
        # Whether a job runs is no matter: it would end, and the submitter begins another.
        ((_, submitters),) = await servers.client.pubsub_numsub(METRICS.watched)
        if not submitters:
            raise CoffeeError(
                "flink-job is not there to begin a job of another epoch, nothing was changed: see `coffee status`"
            )
        epoch = await begin(servers.client)
        await _counted(servers.client, records, tell, stalled_after_s)
        balance = await _balanced(servers, logs, rows)
    return Replayed(
        Pipeline.V3,
        epoch,
        records,
        balance.shown.orders,
        balance.shown.revenue_cents,
        round(time.monotonic() - started, 1),
    )


async def _whole_topic(servers: Servers, logs: KafkaLogs) -> tuple[int, int]:
    """Return rows and records of the topic. Raises CoffeeError where it cannot bring back what is stored."""
    bounds = await logs.bounds(TOPIC)
    gone = sum(first for first, _ in bounds.values())
    records = sum(last for _, last in bounds.values())
    rows = int(await servers.database.fetchval("select count(*) from orders where version = $1", str(Pipeline.V3)))
    if gone or rows > records:
        missing = max(gone, rows - records)
        raise CoffeeError(
            f"the topic no longer holds {missing:,} records: a replay would end on less; nothing was changed"
        )
    return rows, records


async def begin(client: Redis) -> int:
    """Begin another epoch with nothing shown, and return it. Raises CoffeeError where there is no epoch."""
    script = client.register_script(lua("replay_v3"))
    windows = (METRICS.late, METRICS.watermark, *map(METRICS.window, known_windows()))
    give_up_at = time.monotonic() + _EPOCH_WITHIN_S
    while True:
        epoch: Any = await script(keys=(METRICS.fence, *METRICS.metrics, METRICS.counters, *windows))
        if epoch is not None:
            return int(epoch)
        if time.monotonic() > give_up_at:
            raise CoffeeError("Redis has no epoch of v3, and flink-job does not put it back: see `coffee status`")
        await asyncio.sleep(_STEP_S)


async def counted_records(client: Redis) -> int:
    """Return how many records the job's state has counted, as it last told Redis."""
    _, _, counters = await read_shown(client, METRICS)
    return sum(number(name, counters.get(name)) for name in ("shown_orders", "duplicates", "dead"))


async def _counted(client: Redis, records: int, tell: Tell, stalled_after_s: float) -> None:
    """Wait until what was on the topic at the beginning has been counted."""
    last, moved_at = -1, time.monotonic()
    while True:
        counted = await counted_records(client)
        tell(min(counted, records), records)
        if counted >= records:
            return
        if counted != last:
            last, moved_at = counted, time.monotonic()
        elif time.monotonic() - moved_at > stalled_after_s:
            raise CoffeeError(
                f"{counted:,} of {records:,} records are counted and nothing moves: see `coffee status` and the"
                " log of flink-job; the replay goes on once its job runs"
            )
        await asyncio.sleep(_STEP_S)


async def _balanced(servers: Servers, logs: KafkaLogs, rows: int) -> Balance:
    """Wait until everything balances with no fewer orders than the rows of the beginning.

    As many records counted as there were may be others: orders that came meanwhile, on a partition that was ahead.
    """
    give_up_at = time.monotonic() + _SETTLE_S
    while True:
        balance = await audit_v3(servers, logs, unique_timestamps=False)
        if balance.balanced and balance.shown.orders >= rows:
            return balance
        if time.monotonic() > give_up_at:
            raise CoffeeError(f"the whole topic is counted, but not balanced: {sentence(balance)}")
        await asyncio.sleep(_STEP_S)
