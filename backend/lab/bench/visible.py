"""Watches what the dashboard shows: the totals of Redis, and the moment of each of their changes."""

import asyncio
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from backend.api.outcome import UnavailableError
from backend.api.redis_link import RedisLink, ReplyError
from backend.lab.bench.flow import Flow
from backend.lab.bench.told_link import connect
from coffee_core.keys import MetricKeys
from coffee_core.pipelines import Pipeline

_UNTOLD_S, _TOLD_S = 0.001, 0.05
"""Seconds between two looks where the server does not tell of a change, and where it does."""
_AWAY_S = 0.05
_REACHED_S = 0.02


class Visible:
    """Looks at the totals of some pipelines whenever one has changed, until the end of its block."""

    def __init__(self, redis_url: str, pipelines: Sequence[Pipeline]) -> None:
        self._redis_url = redis_url
        self._keys = [MetricKeys(pipeline).total_orders for pipeline in pipelines]
        self.flows = {pipeline: Flow() for pipeline in pipelines}
        """What has been seen."""
        self._link: RedisLink | None = None
        self._step_s = _TOLD_S
        self._looking: asyncio.Future[Any] | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Look once, then in the background. Raises UnavailableError where that is not possible."""
        await self._open()
        assert self._looking is not None, "it has just asked"
        await asyncio.wait({self._looking})
        self._task = asyncio.create_task(self._run(), name="visible")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop looking; raise what went wrong with it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        if self._link is not None:
            self._link.close()
        if error is None:
            self.check()

    def check(self) -> None:
        """Raise what went wrong in the background."""
        if self._task is not None and self._task.done() and not self._task.cancelled():
            self._task.result()

    async def reached(self, totals: dict[Pipeline, int], within_s: float) -> bool:
        """Wait until at least so many orders are shown; return whether they are."""
        deadline = time.monotonic() + within_s
        while any(self.flows[pipeline].total < total for pipeline, total in totals.items()):
            self.check()
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(_REACHED_S)
        return True

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._step_s)
            if self._link is not None and self._link.is_open:
                self._look()
                continue
            try:
                await self._open()
            except UnavailableError:
                # A server that is broken on purpose, or restarts, shows nothing meanwhile.
                await asyncio.sleep(_AWAY_S)

    async def _open(self) -> None:
        self._looking = None
        self._link, told = await connect(self._redis_url, self._look)
        self._step_s = _TOLD_S if told else _UNTOLD_S
        self._look()

    def _look(self) -> None:
        """Ask for the totals, unless an answer is still to come: that one will be of now, too."""
        # One that has come, and whose callback is yet to be called, is of before what we were told of behind it.
        asking = self._looking is not None and not self._looking.done()
        if not asking and self._link is not None and self._link.is_open:
            self._looking = self._link.send("MGET", *self._keys)
            self._looking.add_done_callback(self._seen)

    def _seen(self, reply: "asyncio.Future[Any]") -> None:
        now_s = time.monotonic()
        if isinstance(error := reply.exception(), ReplyError):
            assert self._link is not None, "it has replied"
            self._link.close()  # it loads its data, or lets us in no more: come again
        elif error is None:
            for flow, total in zip(self.flows.values(), reply.result(), strict=True):
                flow.note(now_s, int(total or 0))
