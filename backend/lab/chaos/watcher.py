"""Sees when orders become visible again: it reads the shown totals, many times a second."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Self

from redis.asyncio import Redis
from redis.exceptions import RedisError

from coffee_core.keys import MetricKeys
from coffee_core.pipelines import Pipeline

_STEP_S = 0.02
_WITHIN_S = 1.0


class Watcher:
    """The shown totals of some pipelines, as they move. Use it as an asynchronous context manager.

    More is shown than was ever begun before the fault: then at least one order from after it is among what is
    shown. That needs no order of arrival, and errs by the few requests that were in flight.
    """

    def __init__(
        self,
        redis_url: str,
        pipelines: Iterable[Pipeline],
        on_visible: Callable[[Pipeline, float], None] | None = None,
    ) -> None:
        self._client: Redis = Redis.from_url(
            redis_url, decode_responses=True, socket_timeout=_WITHIN_S, socket_connect_timeout=_WITHIN_S
        )
        self._pipelines = tuple(pipelines)
        self._on_visible = on_visible
        self.shown: dict[Pipeline, int] = dict.fromkeys(self._pipelines, 0)
        """The totals when they could last be read."""
        self.visible_s: dict[Pipeline, float] = {}
        """Seconds from the fault to the first visible order from after it, once there is one."""
        self.moves: dict[Pipeline, int] = dict.fromkeys(self._pipelines, 0)
        """How often each total has changed since the fault."""
        self.still_s: dict[Pipeline, float] = dict.fromkeys(self._pipelines, 0.0)
        """Longest time since the fault in which a total did not change, in seconds: an outage may begin late."""
        self._moved_s: dict[Pipeline, float] = {}
        self._bars: Mapping[Pipeline, int] = {}
        self._struck_s = 0.0
        self._ended = False
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Begin to look."""
        self._task = asyncio.create_task(self._watch(), name="chaos: watcher")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Look no more."""
        # Not cancelled: redis-py may take a cancellation that meets its own timeout for the timeout.
        self._ended = True
        if self._task is not None:
            await asyncio.wait({self._task})
        await self._client.aclose()

    def struck(self, bars: Mapping[Pipeline, int]) -> None:
        """Take the time of the fault, and the totals that orders from before it cannot exceed."""
        self._struck_s, self._bars = time.monotonic(), bars
        self._moved_s = dict.fromkeys(self._pipelines, self._struck_s)

    def check(self) -> None:
        """Raise what went wrong inside."""
        if self._task is not None and self._task.done():
            self._task.result()

    async def _watch(self) -> None:
        keys = [MetricKeys(pipeline).total_orders for pipeline in self._pipelines]
        while not self._ended:
            try:
                totals = await self._client.mget(keys)
            except (RedisError, OSError):
                # Redis itself may be what was broken: nothing is visible then.
                totals = None
            if totals is not None:
                self._note([int(total or 0) for total in totals])
            await asyncio.sleep(_STEP_S)

    def _note(self, totals: list[int]) -> None:
        now_s = time.monotonic()
        for pipeline, total in zip(self._pipelines, totals, strict=True):
            if total != self.shown[pipeline] and pipeline in self._moved_s:
                self.still_s[pipeline] = max(self.still_s[pipeline], now_s - self._moved_s[pipeline])
                self._moved_s[pipeline] = now_s
                self.moves[pipeline] += 1
            self.shown[pipeline] = total
            bar = self._bars.get(pipeline)
            if bar is not None and total > bar and pipeline not in self.visible_s:
                self.visible_s[pipeline] = now_s - self._struck_s
                if self._on_visible is not None:
                    self._on_visible(pipeline, self.visible_s[pipeline])
