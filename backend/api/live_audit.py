"""The accounts of all pipelines, kept while somebody asks for them."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from backend.clients.kafka import LogEnd
from backend.clients.postgres import BROKEN, PostgresBackend, first_line
from backend.clients.redis import RedisBackend, Script
from coffee_core.errors import OutcomeUnknownError, UnavailableError
from coffee_core.keys import STREAM, MetricKeys
from coffee_core.pipelines import PIPELINES, Pipeline
from coffee_core.pipelines.constants import V1, V2, V3
from coffee_core.resources import lua, sql
from coffee_core.totals import PipelineCounts

# What became of a pipeline's orders, by counts alone: cheap enough to be asked every second.
#
# Counts of Redis and PostgreSQL are not of one moment. They are read in an order that makes each finding a bound
# which holds under load: first Redis, then the rows, then Redis again, then the length of v3's log. What was shown
# at first must have its row by then; what has a row must be shown, or in flight, afterwards. So nothing is called
# lost that is merely on its way. The audit of the command line looks closer.


@dataclass(frozen=True, slots=True)
class Counts:
    """What Redis says of one pipeline at one moment."""

    shown: int
    """Orders in the metrics."""
    duplicates: int = 0
    """Entries dropped as repeats."""
    dead: int = 0
    """Entries buried as dead letters."""
    counted: int | None = None
    """v3: orders of the job's state; None where Redis does not know."""
    added: int = 0
    """v2: entries ever added to the stream."""
    waiting: int = 0
    """v2: entries in the stream, which no worker has finished."""


def balance(pipeline: Pipeline, before: Counts, rows: int, after: Counts, log_end: int | None) -> PipelineCounts:
    """Balance what was read in this order; ``log_end`` is the length of v3's log, None where Kafka did not say."""
    accepted, due, in_flight = _log(pipeline, before, rows, after, log_end)
    ahead, behind = max(0, before.shown - rows), 0
    if in_flight is not None and pipeline != V1:
        behind = max(0, rows - after.shown - in_flight)
    logged = None if accepted is None else accepted - after.duplicates - after.dead
    return PipelineCounts(
        accepted=accepted,
        stored=rows,
        shown=after.shown,
        in_flight=in_flight,
        duplicates_dropped=after.duplicates,
        dead_letters=after.dead,
        lost=max(0, due - rows),
        duplicated=0 if logged is None else max(0, rows - logged),
        drift=ahead or -behind,
    )


def _log(
    pipeline: Pipeline, before: Counts, rows: int, after: Counts, log_end: int | None
) -> tuple[int | None, int, int | None]:
    """Return the entries of the log, the rows there must be by now, and the entries in flight."""
    if pipeline == V1:
        return rows, before.shown, max(0, rows - after.shown)
    if pipeline == V2:
        return after.added, before.added - before.waiting - before.duplicates - before.dead, after.waiting
    due = before.counted or 0
    if log_end is None or after.counted is None:
        return log_end, due, None
    return log_end, due, max(0, log_end - after.counted - after.duplicates - after.dead)


INTERVAL_S = 1.0
"""Least seconds between two rounds."""
SHARE = 0.02
"""Most of a core's time that counting the rows may take: with many rows the rounds become rare."""
SOON_S = 1.0
"""Most seconds for which one is waited for."""
COUNT_TIMEOUT_S = 10.0
"""Seconds after which a count is given up."""
PATIENCE_S = 15.0
"""Seconds for which a finding must stand: after a crash the rows of v3 follow what was shown of them."""

_ROWS = sql("backend.api", "count_rows")
_COUNTS = Script(lua("backend.api", "read_counts"))
_KEYS = (
    STREAM,
    *(key for each in PIPELINES for key in (MetricKeys(each).total_orders, MetricKeys(each).counters)),
)
_EACH = 4


class Ledger:
    """Takes the accounts in the background, at most as often as is asked, and hands out the newest."""

    def __init__(
        self,
        postgres: PostgresBackend,
        redis: RedisBackend,
        log_end: LogEnd | None = None,
    ) -> None:
        """``log_end`` asks how long v3's log is; None where v3 does not run here."""
        self._postgres = postgres
        self._redis = redis
        self._log_end = log_end
        self._due_s = 0.0
        self._task: asyncio.Task[None] | None = None
        self._steady = Steady()
        self.accounts: dict[Pipeline, PipelineCounts] = {}
        """Of the newest round; empty where it failed."""
        self.trouble = "not counted yet"
        """Why there are none."""

    def ask(self) -> None:
        """See to it that the accounts become new; returns at once."""
        if time.monotonic() >= self._due_s and (self._task is None or self._task.done()):
            if self._task is not None:
                self._task.result()
            self._task = asyncio.create_task(self._round())

    async def newest(self) -> None:
        """Ask, and wait for the answer where it comes soon: who asks seldom is not told of the last time."""
        self.ask()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=SOON_S)

    @asynccontextmanager
    async def ending(self) -> AsyncIterator[None]:
        """End the round that is under way with the block."""
        try:
            yield
        finally:
            if self._log_end is not None:
                await self._log_end.close()
            if self._task is not None:
                self._task.cancel()
                await asyncio.gather(self._task, return_exceptions=True)

    async def _round(self) -> None:
        began_s = time.monotonic()
        counted_s = 0.0
        try:
            before = await self._counts()
            counting_s = time.monotonic()
            rows = await self._rows()
            counted_s = time.monotonic() - counting_s
            after = await self._counts()
            log_end = await self._log_end.read() if self._log_end is not None else None
        except (UnavailableError, OutcomeUnknownError) as error:
            self.accounts, self.trouble = {}, str(error)
        else:
            found = {
                each: balance(each, before[each], rows.get(each, 0), after[each], log_end) for each in PIPELINES
            }
            # The job's rows and its metrics go their own ways: only what stands for a while is a finding.
            self.accounts = {**found, V3: self._steady.of(found[V3], began_s)}
            self.trouble = ""
        self._due_s = began_s + max(INTERVAL_S, counted_s / SHARE)

    async def _counts(self) -> dict[Pipeline, Counts]:
        reply: list[Any] = await self._redis.call(_COUNTS, _KEYS, reading=True)
        added, waiting, *rest = reply
        try:
            return {
                each: _parsed(rest[_EACH * at : _EACH * at + _EACH], added=int(added), waiting=int(waiting))
                for at, each in enumerate(PIPELINES)
            }
        except ValueError as error:
            raise UnavailableError(f"a metric key holds no whole number ({error})") from error

    async def _rows(self) -> dict[Pipeline, int]:
        self._postgres.health.require()
        async with self._postgres.connection() as connection:
            try:
                async with asyncio.timeout(COUNT_TIMEOUT_S):
                    found = await connection.fetch(_ROWS)
            except BROKEN as error:
                self._postgres.give_up(connection)
                raise UnavailableError(f"postgres does not count ({first_line(error)})") from error
        return {Pipeline(row["version"]): int(row["rows"]) for row in found}


class Steady:
    """Holds back a finding until it has stood for a while: the least of what was found meanwhile."""

    def __init__(self) -> None:
        self._found: deque[tuple[float, PipelineCounts]] = deque()

    def of(self, account: PipelineCounts, at_s: float) -> PipelineCounts:
        """Return the account with the findings that have stood for ``PATIENCE_S`` by now (monotonic seconds)."""
        self._found.append((at_s, account))
        # One from before the span stays: it tells what was found when the span began.
        while len(self._found) > 1 and self._found[1][0] <= at_s - PATIENCE_S:
            self._found.popleft()
        if at_s - self._found[0][0] < PATIENCE_S:
            return replace(account, lost=0, duplicated=0, drift=0)
        seen = [each for _, each in self._found]
        drifts = [each.drift for each in seen]
        low, high = min(drifts), max(drifts)
        return replace(
            account,
            lost=min(each.lost for each in seen),
            duplicated=min(each.duplicated for each in seen),
            drift=low if low > 0 else min(high, 0),
        )


def _parsed(reply: list[bytes], *, added: int, waiting: int) -> Counts:
    shown, duplicates, dead, counted = (int(each) if each else None for each in reply)
    return Counts(shown or 0, duplicates or 0, dead or 0, counted, added, waiting)
