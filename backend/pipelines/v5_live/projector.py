"""v5's projector: reads the totals that the orders' own transactions keep, and writes the six keys.

``python -m backend.pipelines.v5_live.projector`` is woken by a NOTIFY after a commit. A NOTIFY can be missed (the
session is lost), and somebody may delete a key: so it also looks by itself, now and then. Any number of them may
run: they write over a fence.
"""

import asyncio
import contextlib
import logging
import re
import sys
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from backend.clients.daemon import (
    OUTAGES,
    SOCKET_TIMEOUT_S,
    Database,
    Outage,
    Report,
    RunScript,
    open_postgres,
    open_redis,
    open_script,
    run_daemon,
    sleep,
)
from backend.pipelines.balance import read_shown
from backend.pipelines.whole_totals import WRITE_TOTALS, replace_totals
from coffee_core.clock import now_us
from coffee_core.errors import CoffeeError
from coffee_core.keys import MetricKeys
from coffee_core.latency import bucket_of
from coffee_core.menu import DRINKS, STORES
from coffee_core.pipelines.constants import V5
from coffee_core.resources import sql
from coffee_core.settings import Settings
from coffee_core.totals import Totals

METRICS = MetricKeys(V5)
CHANNEL = "v5_totals"
"""Where whoever has committed orders notifies."""
LOOK_EVERY_S = 0.25
"""Seconds without a NOTIFY after which it looks all the same."""
CHECK_EVERY_S = 1.0
"""Seconds between two comparisons of the keys with what was written: somebody may have deleted one."""
REST_S = 0.0005
"""Seconds to rest after a write for each order that it showed: of many, more go together."""
LONGEST_REST = 10
"""How many times as long as the write took it rests at most: where answers take all of the processors, it takes no
more than a tenth of one. With 20 ms, whatever it took, 32 clients got 0.71 of v1's answers; now 0.77 to 0.81."""
_EVEN_US = 50_000
"""Mean latency in µs from which on the orders of a write are taken to have waited unequally long."""
_POINTS = 1_000
"""Moments over which these are spread, at most."""
_PACKAGE = "backend.pipelines.v5_live"
_KEPT = sql(_PACKAGE, "kept_totals")
_FENCE = re.compile(r"([0-9]{1,20}:[0-9]{1,20}:[0-9,]*) (-?[0-9]{1,18}) (-?[0-9]{1,40}) ([0-9]{1,17})")

_log = logging.getLogger("backend.pipelines.v5_live.projector")  # run with -m this module is __main__


@dataclass(frozen=True, slots=True)
class Kept:
    """The totals that PostgreSQL keeps, at one moment."""

    snapshot: str
    """What PostgreSQL had committed then, in its words."""
    totals: Totals
    accepted_us: int
    """Sum of when each of the orders was accepted: microseconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Fence:
    """What was written last: a projector writes only over the fence from which it started.

    What it has read after the fence contains all that the fence stands for: so nothing newer is overwritten.
    """

    snapshot: str
    """What the metrics show: all orders of this snapshot."""
    orders: int
    """How many these are."""
    accepted_us: int
    """Sum of when each of them was accepted: microseconds since the epoch."""
    written_us: int
    """When it was written, microseconds since the epoch: no two fences are the same."""

    def __str__(self) -> str:
        return f"{self.snapshot} {self.orders} {self.accepted_us} {self.written_us}"

    @classmethod
    def parse(cls, text: str | None) -> "Fence | None":
        """Read what ``str`` returns; None where there is none. Raises ResponseError where it is something else."""
        if not text:
            return None
        if not (found := _FENCE.fullmatch(text)):
            raise ResponseError(f"{METRICS.fence} holds no snapshot and sums; delete it")
        snapshot, *numbers = found.groups()
        return cls(snapshot, *map(int, numbers))


async def read_kept(connection: Database) -> Kept:
    """Return the totals. Raises asyncpg's errors."""
    orders = cents = accepted_us = 0
    by_drink, by_store = (dict.fromkeys(names, (0, 0)) for names in (DRINKS, STORES))
    rows = await connection.fetch(_KEPT)
    for _, drink, store, count, revenue, accepted in rows:
        if drink:
            by_drink[drink] = count, revenue
        elif store:
            by_store[store] = count, revenue
        elif count is not None:
            orders, cents, accepted_us = count, revenue, int(accepted)
    hashes = ({name: pair[at] for name, pair in by.items()} for by in (by_drink, by_store) for at in (0, 1))
    return Kept(rows[0]["snapshot"], Totals(orders, cents, *hashes), accepted_us)


class Projector:
    """Writes what PostgreSQL keeps."""

    def __init__(self, connection: Database, client: Redis, write: RunScript | None = None) -> None:
        """``write`` writes the totals, quicker than the client does it by itself."""
        self._connection = connection
        self._client = client
        self._write = write or client.register_script(WRITE_TOTALS)
        self._fence: Fence | None = None
        self._shown: Totals | None = None
        """What was written last; None where that is not known."""
        self._checked_s = 0.0

    async def show(self, *, whole: bool = False) -> int:
        """Write the totals where they have changed; return how many orders are shown more.

        ``whole``: also where they have not, over whatever is there. Raises the errors of both servers.
        """
        while True:
            if self._shown is None:
                self._fence = Fence.parse(await self._client.get(METRICS.fence))
            kept = await read_kept(self._connection)
            if kept.totals == self._shown and not whole and await self._is_shown():
                return 0
            before, now = self._fence, now_us()
            after = Fence(kept.snapshot, kept.totals.orders, kept.accepted_us, now)
            latency = latencies(before, after)
            fences = str(before or ""), str(after)
            if await replace_totals(self._write, METRICS, fences, kept.totals, latency, {}):
                self._fence, self._shown = after, kept.totals
                return latency.total()
            self._shown = None  # another projector has written

    async def _is_shown(self) -> bool:
        """Compare the keys, now and then, with what was written: somebody may have changed them.

        Where nothing new is to be shown: a write puts all of them right. No order waits for it.
        """
        if time.monotonic() - self._checked_s <= CHECK_EVERY_S:
            return True
        self._checked_s = time.monotonic()
        try:
            shown, fence, _ = await read_shown(self._client, METRICS)
        except CoffeeError as error:  # a key holds no number
            _log.warning("%s", error)
            return False
        return shown == self._shown and fence == str(self._fence)


def latencies(before: Fence | None, after: Fence) -> Counter[int]:
    """Return bucket of ``coffee_core.latency`` → orders that became visible that late with the second fence.

    PostgreSQL keeps the sum of their acceptances alone: what comes within milliseconds counts with its mean, after
    a standstill they are spread evenly around it. Without a fence nobody knows which of them are new.
    """
    orders = after.orders - before.orders if before is not None else 0
    if before is None or orders <= 0:
        return Counter()
    mean_us = after.written_us - (after.accepted_us - before.accepted_us) / orders
    if mean_us < _EVEN_US:
        return Counter({bucket_of(mean_us): orders})
    half_us = min(mean_us, (after.written_us - before.written_us) / 2)
    counts: Counter[int] = Counter()
    points = min(orders, _POINTS)
    for at in range(points):
        late_us = mean_us + half_us * (2 * (at + 0.5) / points - 1)
        counts[bucket_of(late_us)] += orders * (at + 1) // points - orders * at // points
    return counts


async def run_projector(stop: asyncio.Event, database_url: str, redis_url: str) -> None:
    """Show the totals until ``stop`` is set. What fails is tried again with backoff."""
    report = Report(redis_url, METRICS.standstill, "live-projector")
    outage = Outage(stop, _log, report)
    while not stop.is_set():
        try:
            async with AsyncExitStack() as stack:
                client = await stack.enter_async_context(open_redis(redis_url))
                # A short time for a statement: it reads some hundred rows, and a dead session must be noticed.
                connection = await open_postgres(database_url, SOCKET_TIMEOUT_S)
                # Not close(), which would wait for a server that hangs.
                stack.callback(connection.terminate)
                await connection.execute(sql(_PACKAGE, "name_session"))
                write = await stack.enter_async_context(open_script(redis_url, WRITE_TOTALS))
                await _follow(Projector(connection, client, write), connection, stop, outage)
        except OUTAGES as error:
            await outage.failed(error)
    await report.close()


async def _follow(projector: Projector, connection: Database, stop: asyncio.Event, outage: Outage) -> None:
    woken = asyncio.Event()
    # Before the first look: what is committed after that look notifies.
    await connection.add_listener(CHANNEL, lambda *_: woken.set())
    connection.add_termination_listener(lambda _: woken.set())
    stopping = asyncio.create_task(stop.wait())
    stopping.add_done_callback(lambda _: woken.set())
    try:
        while not stop.is_set():
            woken.clear()
            began_s = time.monotonic()
            orders = await projector.show()
            outage.over()
            await sleep(min(orders * REST_S, LONGEST_REST * (time.monotonic() - began_s)), stop)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await woken.wait()
    finally:
        stopping.cancel()


async def _run(stop: asyncio.Event) -> None:
    settings = Settings.attach()
    await run_projector(stop, settings.database_url, settings.redis_url)


if __name__ == "__main__":
    sys.exit(run_daemon("live-projector", _run))
