"""Watches what the dashboard shows: the totals of Redis, and the moment of each of their changes."""

import asyncio
import itertools
import math
import time
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

from redis.asyncio import Redis
from redis.exceptions import RedisError

from backend.daemon import open_redis
from coffee_core.keys import MetricKeys
from coffee_core.load.statistics import new_histogram, note_us
from coffee_core.pipelines import Pipeline

FINE_S, COARSE_S = 0.001, 0.02
"""Seconds between two looks: while latencies are measured, and while only the end of something is awaited."""
_AWAY_S = 0.05


class Flow:
    """The total of one pipeline over time."""

    def __init__(self) -> None:
        self.times_s: list[float] = []
        """When another total was first seen, monotonic seconds."""
        self.totals: list[int] = []
        """Orders shown from then on."""

    @property
    def total(self) -> int:
        """Orders shown now."""
        return self.totals[-1] if self.totals else 0

    def note(self, now_s: float, total: int) -> None:
        """Note what is shown."""
        if not self.totals or total != self.totals[-1]:
            self.times_s.append(now_s)
            self.totals.append(total)

    def first_s(self, total: int) -> float:
        """Return when at least so many orders were first seen, monotonic seconds; infinity where never."""
        place = next((place for place, each in enumerate(self.totals) if each >= total), None)
        return math.inf if place is None else self.times_s[place]

    def total_at(self, at_s: float) -> int:
        """Return how many orders were shown at a time."""
        place = bisect_right(self.times_s, at_s)
        return self.totals[place - 1] if place else 0

    def changes(self, from_s: float, to_s: float) -> int:
        """Return how often another total was seen in a time."""
        return bisect_right(self.times_s, to_s) - bisect_left(self.times_s, from_s)

    def longest_still_s(self, from_s: float, to_s: float) -> float:
        """Return the longest time without a change that ended within, or reached into, this one.

        What stood still at its end is followed to the next change.
        """
        first, last = bisect_left(self.times_s, from_s), bisect_right(self.times_s, to_s)
        moments = [from_s, *self.times_s[first : last + 1]]
        return max((after - before for before, after in itertools.pairwise(moments)), default=0.0)

    def lateness(self, base: int, intended: Sequence[float]) -> tuple[Any, int]:
        """Return how late the total was for each order, as an HDR histogram in µs, and how many it never showed.

        The dashboard shows totals, so its lateness is that of the total: the k-th order, by the time at which it
        was meant to be sent, is visible once ``base + k`` orders are shown. ``base`` is what was shown, or had
        been accepted, before the first of them.
        """
        histogram, unseen = new_histogram(), 0
        place = bisect_left(self.times_s, min(intended, default=0.0))
        for number, intended_s in enumerate(sorted(intended), base + 1):
            while place < len(self.totals) and self.totals[place] < number:
                place += 1
            if place == len(self.totals):
                unseen += 1
            else:
                note_us(histogram, (self.times_s[place] - intended_s) * 1e6)
        return histogram, unseen


class Visible:
    """Looks at the totals of some pipelines until the end of its block.

    By looking again and again, not by notifications: a server that was given may send none.
    """

    def __init__(self, redis_url: str, pipelines: Sequence[Pipeline]) -> None:
        self._redis_url = redis_url
        self._keys = [MetricKeys(pipeline) for pipeline in pipelines]
        self.flows = {pipeline: Flow() for pipeline in pipelines}
        """What has been seen."""
        self.step_s = FINE_S
        """Seconds between two looks."""
        self._opened = AsyncExitStack()
        self._task: asyncio.Task[None] | None = None
        self._ending = False

    async def __aenter__(self) -> Self:
        """Look once, then in the background. Raises RedisError where that is not possible."""
        client = await self._opened.enter_async_context(open_redis(self._redis_url))
        await self._look(client)
        self._task = asyncio.create_task(self._run(client), name="visible")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop looking; raise what went wrong with it."""
        # By a flag: a cancellation may get lost in the Redis client.
        self._ending = True
        if self._task is not None:
            await asyncio.wait({self._task})
        await self._opened.aclose()
        if error is None:
            self.check()

    def check(self) -> None:
        """Raise what went wrong in the background."""
        if self._task is not None and self._task.done():
            self._task.result()

    async def reached(self, totals: dict[Pipeline, int], within_s: float) -> bool:
        """Wait until at least so many orders are shown; return whether they are."""
        deadline = time.monotonic() + within_s
        while any(self.flows[pipeline].total < total for pipeline, total in totals.items()):
            self.check()
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(COARSE_S)
        return True

    async def _run(self, client: Redis) -> None:
        while not self._ending:
            await asyncio.sleep(self.step_s)
            try:
                await self._look(client)
            except RedisError:
                # A server that is broken on purpose, or restarts, shows nothing meanwhile.
                await asyncio.sleep(_AWAY_S)

    async def _look(self, client: Redis) -> None:
        totals = await client.mget([keys.total_orders for keys in self._keys])
        now_s = time.monotonic()
        for keys, total in zip(self._keys, totals, strict=True):
            self.flows[keys.pipeline].note(now_s, int(total or 0))
