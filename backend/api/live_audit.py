"""The audit of the running pipelines: their orders counted in Redis and PostgreSQL while somebody asks for it."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from backend.clients.postgres import BROKEN, PostgresPool, first_line
from backend.clients.redis import RedisClient, Script
from backend.pipelines.live import Counts, LiveLog, balance
from coffee_core.errors import OutcomeUnknownError, UnavailableError
from coffee_core.keys import MetricKeys
from coffee_core.pipelines import LogKind, Pipeline
from coffee_core.resources import lua, sql
from coffee_core.tasks import end_tasks
from coffee_core.totals import PipelineCounts

INTERVAL_S = 1.0
"""Seconds between the starts of two rounds, at least."""
SHARE = 0.02
"""Share of a core's time that counting the rows may take: with many rows the rounds become rare."""
SOON_S = 1.0
"""Seconds for which ``newest`` waits for a round, at most."""
COUNT_TIMEOUT_S = 10.0
"""Seconds after which a count of the rows is cancelled."""
FINDING_MUST_STAND_S = 15.0
"""Seconds for which a finding must stand: after a crash the rows of v3 follow what was shown of them."""

_ROWS = sql("backend.api", "count_rows")
_COUNTS = Script(lua("backend.api", "read_counts"))
_ANSWERS = 6
"""Numbers that the script returns of each pipeline."""


class LiveAudit:
    """Counts the orders of all pipelines in the background while somebody asks, and keeps the newest counts."""

    def __init__(
        self,
        postgres: PostgresPool,
        redis: RedisClient,
        logs: Mapping[Pipeline, LiveLog],
        accepted: Callable[[], Mapping[Pipeline, int]] = dict,
    ) -> None:
        # Asked before anything is counted: each of those orders is in the counts.
        self._accepted = accepted
        self._postgres = postgres
        self._redis = redis
        self._logs = logs
        self._keys = tuple(key for pipeline in logs for key in _keys(pipeline))
        self._steady = {pipeline: Steady() for pipeline, log in logs.items() if log.must_stand}
        self._due_s = 0.0
        self._task: asyncio.Task[None] | None = None
        self.counts: dict[Pipeline, PipelineCounts] = {}
        """The counts of the newest round; empty where it failed."""
        self.trouble = "not counted yet"
        """Why there are no counts."""
        self.counted_s = float("-inf")
        """When the round of these counts began: monotonic seconds."""
        self.accepted: Mapping[Pipeline, int] = {}
        """Orders that the API had accepted when that round began: each of them is counted."""

    @property
    def age_s(self) -> float | None:
        """How long ago the round of these counts began: seconds; None where there are no counts."""
        return time.monotonic() - self.counted_s if self.counts else None

    def ask(self) -> None:
        """Start a round in the background where one is due; return at once."""
        if time.monotonic() >= self._due_s and (self._task is None or self._task.done()):
            if self._task is not None:
                self._task.result()
            self._task = asyncio.create_task(self._round())

    async def newest(self) -> None:
        """Ask, and wait briefly for the new counts, so that a rare caller does not get old ones."""
        self.ask()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=SOON_S)

    @asynccontextmanager
    async def ending(self) -> AsyncIterator[None]:
        """Cancel the running round at the end of the block, and close the logs."""
        try:
            yield
        finally:
            for log in self._logs.values():
                await log.close()
            if self._task is not None:
                await end_tasks(self._task)

    async def _round(self) -> None:
        began_s = time.monotonic()
        accepted = self._accepted()
        counted_s = 0.0
        try:
            before = await self._redis_counts()
            counting_s = time.monotonic()
            rows = await self._row_counts()
            counted_s = time.monotonic() - counting_s
            after = await self._redis_counts()
            lengths = {pipeline: await log.length() for pipeline, log in self._logs.items()}
        except (UnavailableError, OutcomeUnknownError) as error:
            self.counts, self.trouble = {}, str(error)
        else:
            found = {
                pipeline: balance(log, before[pipeline], rows.get(pipeline, 0), after[pipeline], lengths[pipeline])
                for pipeline, log in self._logs.items()
            }
            self.counts = {
                pipeline: self._steady[pipeline].of(counts, began_s) if pipeline in self._steady else counts
                for pipeline, counts in found.items()
            }
            self.trouble, self.counted_s, self.accepted = "", began_s, accepted
        self._due_s = began_s + max(INTERVAL_S, counted_s / SHARE)

    async def _redis_counts(self) -> dict[Pipeline, Counts]:
        reply: list[Any] = await self._redis.call(_COUNTS, self._keys, reading=True)
        try:
            return {
                pipeline: _parsed(reply[_ANSWERS * at : _ANSWERS * at + _ANSWERS])
                for at, pipeline in enumerate(self._logs)
            }
        except ValueError as error:
            raise UnavailableError(f"a metric key holds no whole number ({error})") from error

    async def _row_counts(self) -> dict[Pipeline, int]:
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
    """Reports a finding only after it has stood for a while, and then the least of what was found meanwhile."""

    def __init__(self) -> None:
        self._found: deque[tuple[float, PipelineCounts]] = deque()

    def of(self, newest: PipelineCounts, at_s: float) -> PipelineCounts:
        """Return the counts, of their findings only those that stood for ``FINDING_MUST_STAND_S``.

        ``at_s`` is the moment of the counts in monotonic seconds; call it with ascending moments.
        """
        self._found.append((at_s, newest))
        # The last one before the span stays: it holds what was found when the span began.
        while len(self._found) > 1 and self._found[1][0] <= at_s - FINDING_MUST_STAND_S:
            self._found.popleft()
        if at_s - self._found[0][0] < FINDING_MUST_STAND_S:
            return replace(newest, lost=0, duplicated=0, drift=0)
        span = [counts for _, counts in self._found]
        drifts = [counts.drift for counts in span]
        low, high = min(drifts), max(drifts)
        return replace(
            newest,
            lost=min(counts.lost for counts in span),
            duplicated=min(counts.duplicated for counts in span),
            drift=low if low > 0 else min(high, 0),
        )


def _keys(pipeline: Pipeline) -> tuple[str, str, str]:
    keys, log = MetricKeys(pipeline), pipeline.info.log
    return keys.total_orders, keys.counters, log.name if log is not None and log.kind is LogKind.STREAM else ""


def _parsed(reply: list[bytes | int]) -> Counts:
    shown, duplicates, dead, counted, added, waiting = (int(number) if number != b"" else None for number in reply)
    return Counts(shown or 0, duplicates or 0, dead or 0, counted, added or 0, waiting or 0)
