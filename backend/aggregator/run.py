"""One run of the aggregator: a statement of PostgreSQL, then a write to Redis, fenced."""

import json
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from redis.asyncio import Redis

from backend.daemon import Database
from coffee_core.clock import now_us, to_datetime
from coffee_core.keys import MetricKeys
from coffee_core.pipelines import Pipeline
from coffee_core.tally import Tally

_FOLDER = files("backend.aggregator")
_TOTALS = (_FOLDER / "sql" / "totals.sql").read_text(encoding="utf-8")
_WRITE = (_FOLDER / "lua" / "write.lua").read_text(encoding="utf-8")
METRICS = MetricKeys(Pipeline.V1)


@dataclass(frozen=True, slots=True)
class Fence:
    """What the last run that was written saw; a run may be written only over the fence it started from.

    A snapshot taken after reading a fence contains all that the fence's snapshot does. So where the fence still
    stands at the time of writing, nothing newer is overwritten; where it has moved, the other run is as new.
    """

    snapshot: str | None = None
    """PostgreSQL's text of the snapshot; None before the first run."""
    taken_at_us: int = 0
    """When, by the clock of the aggregator: microseconds since the epoch."""

    def __str__(self) -> str:
        return "" if self.snapshot is None else f"{self.snapshot} {self.taken_at_us}"

    @classmethod
    def parse(cls, text: str | None) -> "Fence":
        """Read what ``str`` made; nothing is the fence before the first run."""
        if not text:
            return cls()
        snapshot, _, taken_at_us = text.rpartition(" ")
        return cls(snapshot, int(taken_at_us))


@dataclass(frozen=True, slots=True)
class Totals:
    """What one run found."""

    fence: Fence
    """The snapshot it saw."""
    tally: Tally
    """All orders of it."""
    late: Counter[int]
    """Bucket of ``coffee_core.latency`` → orders that the previous run's snapshot did not have."""


async def read_fence(client: Redis) -> Fence:
    """Return the fence to start a run from. Raises an error of Redis."""
    return Fence.parse(await client.get(METRICS.fence))


async def read_totals(connection: Database, previous: Fence, expected_us: int = 0) -> Totals:
    """Add up the orders; ``expected_us`` is how long, in µs, the run is likely to take until it is visible.

    Raises asyncpg's errors.
    """
    taken_at_us = now_us()
    rows = await connection.fetch(_TOTALS, previous.snapshot, to_datetime(previous.taken_at_us), expected_us)
    groups = [row for row in rows if row["drink"] is not None]
    late: Counter[int] = Counter()
    for row in groups:
        if row["bucket"] is not None:
            late[row["bucket"]] += row["orders"]
    return Totals(Fence(rows[0]["snapshot"], taken_at_us), Tally.of_groups(_quadruples(groups)), late)


async def read_split(connection: Database, fence: Fence) -> tuple[Tally, Tally]:
    """Return the orders that the run behind this fence has shown, and those that it has not: for an audit.

    Raises asyncpg's errors.
    """
    rows = await connection.fetch(_TOTALS, fence.snapshot, to_datetime(fence.taken_at_us), 0)
    groups = [row for row in rows if row["drink"] is not None]
    shown = Tally.of_groups(_quadruples(row for row in groups if row["bucket"] is None))
    return shown, Tally.of_groups(_quadruples(row for row in groups if row["bucket"] is not None))


def _quadruples(groups: Iterable[Any]) -> Iterable[tuple[str, str, int, int]]:
    return ((row["drink"], row["store"], row["orders"], row["cents"]) for row in groups)


async def write_totals(client: Redis, previous: Fence, totals: Totals, run_us: int, next_run_us: int) -> bool:
    """Replace the metrics as a whole and add to the latency; False where another run came first.

    ``run_us`` is how long the run took and ``next_run_us`` when the next is due, both in µs. Raises an error of
    Redis, with nothing written.
    """
    tally = totals.tally
    values = {
        "orders": tally.orders,
        "revenue": tally.revenue_cents,
        "hashes": [
            dict(tally.drink_counts),
            dict(tally.drink_revenue_cents),
            dict(tally.store_counts),
            dict(tally.store_revenue_cents),
        ],
        "latency": totals.late,
        "counters": {"last_update_us": now_us(), "last_run_us": run_us, "next_run_us": next_run_us},
    }
    write = client.register_script(_WRITE)
    keys = (METRICS.fence, METRICS.counters, METRICS.latency, *METRICS.metrics)
    return bool(await write(keys=keys, args=(str(previous), str(totals.fence), json.dumps(values))))


class Aggregator:
    """Runs on one connection to each server."""

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
        totals = await read_totals(self._connection, previous, self._last_us)
        self._last_us = (time.monotonic_ns() - started) // 1_000
        return await write_totals(self._client, previous, totals, self._last_us, next_run_us)
