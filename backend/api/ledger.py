"""The accounts of all pipelines, kept while somebody asks for them."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from backend.api import resources
from backend.api.account import Counts, balance
from backend.api.log_end import LogEnd
from backend.api.outcome import OutcomeUnknownError, UnavailableError
from backend.api.postgres_backend import BROKEN, PostgresBackend, first_line
from backend.api.redis_backend import RedisBackend, Script
from coffee_core.account import Account
from coffee_core.keys import STREAM, MetricKeys
from coffee_core.pipelines import Pipeline

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

_ROWS = resources.text("count_rows.sql")
_COUNTS = Script(resources.text("read_counts.lua"))
_KEYS = (STREAM, *(key for each in Pipeline for key in (MetricKeys(each).total_orders, MetricKeys(each).counters)))
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
        self.accounts: dict[Pipeline, Account] = {}
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
                each: balance(each, before[each], rows.get(each, 0), after[each], log_end) for each in Pipeline
            }
            # The job's rows and its metrics go their own ways: only what stands for a while is a finding.
            self.accounts = {**found, Pipeline.V3: self._steady.of(found[Pipeline.V3], began_s)}
            self.trouble = ""
        self._due_s = began_s + max(INTERVAL_S, counted_s / SHARE)

    async def _counts(self) -> dict[Pipeline, Counts]:
        reply: list[Any] = await self._redis.call(_COUNTS, _KEYS, reading=True)
        added, waiting, *rest = reply
        try:
            return {
                each: _parsed(rest[_EACH * at : _EACH * at + _EACH], added=int(added), waiting=int(waiting))
                for at, each in enumerate(Pipeline)
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
        self._found: deque[tuple[float, Account]] = deque()

    def of(self, account: Account, at_s: float) -> Account:
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
