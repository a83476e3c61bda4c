"""Looks every second, asked or not, whether accepted orders of a pipeline wait and nobody works on them."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import asyncpg

from backend.api.answer_counters import accepted
from backend.api.live_audit import LiveAudit
from backend.api.pipelines import RunningPipelines
from backend.clients.counters import Counters
from backend.clients.postgres import BROKEN
from backend.pipelines.operations import operations_of
from backend.pipelines.standstill import Judge, Sight, StandstillWatch, Verdict
from coffee_core.clock import now_us
from coffee_core.errors import OutcomeUnknownError, UnavailableError
from coffee_core.pipelines import Pipeline, is_part
from coffee_core.resources import sql
from coffee_core.runstate import PartState, State, read_states
from coffee_core.standstill import Standstill
from coffee_core.tasks import end_tasks
from coffee_core.totals import PipelineCounts

_log = logging.getLogger(__name__)

INTERVAL_S = 1.0
"""Seconds between two looks: one round trip to Redis for all pipelines."""
FIRST_START_S = 45.0
"""Seconds after the API's own start in which other parts may still start: Flink needs 20 on two busy cores."""
_COUNT_AFTER_S = 1.0
"""Seconds without a finished order after which orders that wait are counted, where a look cannot tell how many."""
_STORED_AFTER_S = 10.0
"""Seconds after which orders that are shown and are no rows are not on their way any more, but lost."""
_ASK_BLOCKER_EVERY_S = 3.0
_ASK_TIMEOUT_S = 2.0
_ANSWER_SOON_S = 0.2
_BLOCKER = sql("backend.api", "blocker")
_GOOD = (State.UP, State.EXTERNAL)


@dataclass(frozen=True, slots=True)
class Standing:
    """A standstill, and since when it stands."""

    standstill: Standstill
    since_us: int
    """Microseconds since the epoch."""

    def as_json(self) -> dict[str, Any]:
        """Return it as /readyz and /api/lab have it."""
        return {**asdict(self.standstill), "since_us": self.since_us}

    @property
    def seconds(self) -> float:
        """For how long it has stood."""
        return max(0.0, (now_us() - self.since_us) / 1_000_000)


class _Watched:
    """One pipeline that is looked at."""

    def __init__(self, watch: StandstillWatch) -> None:
        self.watch = watch
        self.judge = Judge()
        self.sight = Sight()
        """The newest one."""
        self.moved_s = time.monotonic()
        """When its progress last changed."""
        self.settled: int | None = None
        """Orders that the API had accepted when none waited; None before it was known."""
        self.waiting: int | None = None
        """Orders that were counted since its progress last changed."""
        self.unsettled_s: float | None = None
        """Since when more orders are accepted than were when none waited, without any progress since."""


class StandstillWatcher:
    """Looks at the pipelines that run here, and keeps what stands still."""

    def __init__(self, running: RunningPipelines, live_audit: LiveAudit, counters: Counters) -> None:
        self._running = running
        self._live_audit = live_audit
        self._counters = counters
        self._watched = {
            pipeline: _Watched(operations_of(pipeline).open_standstill_watch(running))
            for pipeline in running.ingests
        }
        self._blocker = _Blocker(running.settings.database_url)
        self._home = running.settings.home
        self._started_s = time.monotonic()
        self.pipelines = tuple(self._watched)
        """All that are looked at."""
        self.standing: dict[Pipeline, Standing] = {}
        """Pipelines that stand still."""

    @asynccontextmanager
    async def watching(self, on_crash: Callable[[], None]) -> AsyncIterator[None]:
        """Look for the length of the block; call ``on_crash`` where that fails for good."""

        def done(task: "asyncio.Task[None]") -> None:
            if not task.cancelled() and (error := task.exception()):
                _log.critical("standstills can no longer be watched", exc_info=error)
                on_crash()

        task = asyncio.create_task(self._run())
        task.add_done_callback(done)
        try:
            yield
        finally:
            await end_tasks(task)  # a failure was logged by done()
            await self._blocker.close()

    def as_json(self, pipeline: Pipeline) -> dict[str, Any] | None:
        """Return the standstill of a pipeline as JSON; None where it works."""
        standing = self.standing.get(pipeline)
        return None if standing is None else standing.as_json()

    async def _run(self) -> None:
        while True:
            began_s = time.monotonic()
            await asyncio.gather(*(self._look(pipeline) for pipeline in self._watched))
            await asyncio.sleep(max(0.0, began_s + INTERVAL_S - time.monotonic()))

    async def _look(self, pipeline: Pipeline) -> None:
        watched = self._watched[pipeline]
        try:
            sight = await watched.watch.look()
        except OutcomeUnknownError:
            return  # the connection has just broken: the next look knows more
        except UnavailableError as error:
            refused = Standstill(str(error), "mend what it names; orders go on by themselves then")
            sight = replace(watched.sight, reported=None, certain=refused)
        down = next(
            (
                health
                for name, health in self._running.healths.items()
                if name in pipeline.info.servers and not health.up
            ),
            None,
        )
        if down is not None:
            reason = f"{down.name} is down: {down.detail}"
            cure = "orders go on by themselves once it answers: `coffee status` tells how it stands"
            sight = replace(sight, certain=Standstill(reason, cure))
        if (blocked := self._running.live_logs[pipeline].blocked) is not None:
            sight = replace(sight, likely=blocked)
        now_s = time.monotonic()
        if sight.progress != watched.sight.progress:
            watched.moved_s, watched.waiting, watched.unsettled_s = now_s, None, None
        watched.sight = sight
        if sight.waiting is None:
            waiting = await self._counted(pipeline, watched, now_s)
            sight = replace(sight, waiting=waiting, waiting_since_s=watched.unsettled_s)
        else:
            watched.unsettled_s = None
        verdict = watched.judge.judge(sight, now_s)
        standstill = None if verdict is None else await self._explained(pipeline, verdict)
        self._keep(pipeline, verdict, standstill, now_s)

    def _keep(
        self, pipeline: Pipeline, verdict: Verdict | None, standstill: Standstill | None, now_s: float
    ) -> None:
        before = self.standing.get(pipeline)
        if verdict is None or standstill is None:
            if self.standing.pop(pipeline, None) is not None:
                _log.warning("%s works again", pipeline)
            return
        since_us = now_us() - round((now_s - verdict.since_s) * 1e6) if before is None else before.since_us
        if before is None:
            _log.warning("%s stands still: %s", pipeline, standstill)
        self.standing[pipeline] = Standing(standstill, since_us)

    async def _counted(self, pipeline: Pipeline, watched: _Watched, now_s: float) -> int | None:
        """Return how many orders wait by the live audit, which is asked only where some may; None: not known."""
        if accepted(self._counters.totals(), pipeline) == watched.settled:
            watched.unsettled_s = None
            return 0
        if watched.unsettled_s is None:
            watched.unsettled_s = now_s
        if now_s - watched.moved_s < _COUNT_AFTER_S:
            return None
        counts = self._live_audit.counts.get(pipeline)
        if counts is not None and self._live_audit.counted_s > watched.moved_s and counts.in_flight is not None:
            watched.waiting = counts.in_flight
            unstored = _unstored(counts)
            if unstored and not counts.in_flight and await self._blocker.find() is not None:
                watched.waiting = unstored  # shown, but a lock keeps them from becoming rows
            if not watched.waiting and (not unstored or now_s - watched.moved_s > _STORED_AFTER_S):
                watched.settled = self._live_audit.accepted.get(pipeline)
        self._live_audit.ask()
        return watched.waiting

    async def _explained(self, pipeline: Pipeline, verdict: Verdict) -> Standstill | None:
        """Return the standstill with the best reason that is known; None where a first start is not over yet."""
        if verdict.explained and "postgres" not in verdict.standstill.reason.lower():
            return verdict.standstill
        if (blocker := await self._blocker.find()) is not None:
            return blocker
        if verdict.explained:
            return verdict.standstill
        troubled = await asyncio.to_thread(_troubled, self._home, pipeline)
        starting = any(part.state in (State.WAITING, State.STARTING) and not part.restarts for part in troubled)
        if starting and time.monotonic() - self._started_s < FIRST_START_S:
            return None
        return _naming(troubled, verdict.standstill)


def _unstored(counts: PipelineCounts) -> int:
    """Return how many orders of the log are no rows yet, whether they are shown or not; 0 where nobody knows."""
    if counts.accepted is None:
        return 0
    return max(0, counts.accepted - counts.duplicates_dropped - counts.dead_letters - counts.stored)


def _troubled(home: Path, pipeline: Pipeline) -> list[PartState]:
    """Return the parts of the chain that are not up, in its order, as far as they run on this machine."""
    states = [part for part in read_states(home) if part.state not in _GOOD]
    chain = [part for stage in pipeline.info.chain for part in states if is_part(part.name, stage.parts)]
    return list(dict.fromkeys(chain))


def _naming(troubled: list[PartState], standstill: Standstill) -> Standstill:
    """Return the standstill with the first part that is not up as what has to be mended."""
    if not troubled:
        return standstill
    part = troubled[0]
    seconds = (now_us() - part.since_us) // 1_000_000
    detail = f" ({part.detail})" if part.detail else ""
    return replace(standstill, cure=f"{part.name} is {part.state} for {seconds} s{detail}: its log says why")


class _Blocker:
    """Looks for a session of PostgreSQL that keeps others waiting: a lock is seen in no error, for minutes."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._asked_s = float("-inf")
        self._found: Standstill | None = None
        self._asking: asyncio.Task[None] | None = None

    async def find(self) -> Standstill | None:
        """Return what that session does, as of a few seconds ago; None where there is none, or nobody can tell.

        Waits only a moment: a PostgreSQL that does not answer delays no other reason.
        """
        if (self._asking is None or self._asking.done()) and self._is_due():
            self._asked_s = time.monotonic()
            self._asking = asyncio.create_task(self._refresh())
        if self._asking is not None:
            await asyncio.wait({self._asking}, timeout=_ANSWER_SOON_S)
        return self._found

    async def close(self) -> None:
        """Ask no more."""
        if self._asking is not None:
            await end_tasks(self._asking)

    def _is_due(self) -> bool:
        return time.monotonic() - self._asked_s >= _ASK_BLOCKER_EVERY_S

    async def _refresh(self) -> None:
        try:
            self._found = await self._ask()
        except BROKEN as error:
            _log.debug("nobody can tell whether a lock is waited for: %s", error)
            self._found = None

    async def _ask(self) -> Standstill | None:
        # A connection of its own: those of the pool may all wait for that lock.
        connection = await asyncpg.connect(self._url, timeout=_ASK_TIMEOUT_S, command_timeout=_ASK_TIMEOUT_S)
        try:
            row = await connection.fetchrow(_BLOCKER)
        finally:
            connection.terminate()
        if row is None:
            return None
        pid, name, state, seconds = row
        if not pid:
            reason = "PostgreSQL: a prepared transaction holds a lock on the orders"
            return Standstill(reason, "commit it or roll it back: `select gid from pg_prepared_xacts`")
        return Standstill(
            f"PostgreSQL: session {pid} ({name}, {state}) holds a lock on the orders for {seconds} s",
            f"end its transaction, or `select pg_terminate_backend({pid})`",
        )
