"""Watches what the dashboard shows: the totals in Redis, and the moment of each of their changes.

Redis reports a change by client-side caching, without the cache. A server that does not is asked every
millisecond.
"""

import asyncio
import itertools
import math
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Self

import hiredis
from redis.asyncio import Redis

from backend.clients.daemon import open_redis
from backend.clients.redis import RedisLink, ReplyError
from backend.clients.redis import connect as connect_plain
from coffee_core.errors import OutcomeUnknownError, UnavailableError
from coffee_core.keys import MetricKeys
from coffee_core.load.histogram import LatencyHistogram
from coffee_core.pipelines import Pipeline
from coffee_core.tasks import end_tasks

_POLL_S, _TRACKED_POLL_S = 0.001, 0.05
"""Seconds between two reads where the server does not report changes, and where it does."""
_AWAY_S = 0.05
_REACHED_POLL_S = 0.02


async def connect(url: str, on_change: Callable[[], None]) -> tuple[RedisLink, bool]:
    """Connect with client-side caching; return the connection, and whether ``on_change`` will be called.

    It is called once for each key that was read and has changed since. Raises UnavailableError.
    """
    link = await connect_plain(url, _forget, partial(_TrackingConnection, on_change))
    try:
        await link.send("HELLO", 3)
        await link.send("CLIENT", "SETNAME", "coffee-bench")
        await link.send("CLIENT", "TRACKING", "ON")
    except ReplyError:
        return link, False  # a server that was given may be older, a proxy, or not allow it
    except OutcomeUnknownError as error:
        raise UnavailableError(str(error)) from error
    return link, True


class _TrackingConnection(RedisLink):
    """Calls back when a key that it has read changes."""

    def __init__(self, on_change: Callable[[], None], on_lost: Callable[[str], None]) -> None:
        super().__init__(on_lost)
        self._reader = _Reader(on_change)


class _Reader(hiredis.Reader):
    """Hands out replies alone: a push notification belongs to no request."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        super().__init__()
        self._on_change = on_change

    def gets(self, *args: Any) -> Any:
        """Return the next reply; False where there is none yet."""
        while isinstance(value := super().gets(*args), hiredis.PushNotification):
            self._on_change()
        return value


def _forget(_reason: str) -> None:
    """Do nothing: whoever asks next finds the connection closed."""


class TotalHistory:
    """What the dashboard has shown of one pipeline over time: how late that was, when it stood still."""

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

    def forget(self) -> None:
        """Forget all but what is shown now: hours of it fill the memory."""
        del self.times_s[:-1], self.totals[:-1]

    def first_s(self, total: int) -> float:
        """Return when at least so many orders were first seen, monotonic seconds; infinity where never."""
        place = next((place for place, shown in enumerate(self.totals) if shown >= total), None)
        return math.inf if place is None else self.times_s[place]

    def total_at(self, at_s: float) -> int:
        """Return how many orders were shown at a time."""
        place = bisect_right(self.times_s, at_s)
        return self.totals[place - 1] if place else 0

    def changes(self, from_s: float, to_s: float) -> int:
        """Return how often another total was seen in a time."""
        return bisect_right(self.times_s, to_s) - bisect_left(self.times_s, from_s)

    def level_s(self, base: int, intended: Sequence[float], from_s: float, allowed: int) -> float:
        """Return from when on, not before ``from_s``, at most so many of the orders due by then were not visible.

        ``base`` is the total before the first of them, ``intended`` are their times, sorted. Infinite: never.
        """
        for at_s, total in zip(self.times_s, self.totals, strict=True):
            if at_s >= from_s and bisect_right(intended, at_s) - (total - base) <= allowed:
                return at_s
        return math.inf

    def longest_still_s(self, from_s: float, to_s: float) -> float:
        """Return the longest time without a change that ended within, or reached into, this one.

        What stood still at its end is followed to the next change.
        """
        first, last = bisect_left(self.times_s, from_s), bisect_right(self.times_s, to_s)
        moments = [from_s, *self.times_s[first : last + 1]]
        return max((after - before for before, after in itertools.pairwise(moments)), default=0.0)

    def visible_latency(self, base: int, intended: Sequence[float]) -> tuple[Any, int]:
        """Return the latency of the total for each order, and how many it never showed.

        The dashboard shows totals, so its latency is that of the total: the k-th order, by the time at which it
        was meant to be sent, is visible once ``base + k`` orders are shown. ``base`` is what was shown, or had
        been accepted, before the first of them.
        """
        histogram, unseen = LatencyHistogram(), 0
        place = bisect_left(self.times_s, min(intended, default=0.0))
        for number, intended_s in enumerate(sorted(intended), base + 1):
            while place < len(self.totals) and self.totals[place] < number:
                place += 1
            if place == len(self.totals):
                unseen += 1
            else:
                histogram.record((self.times_s[place] - intended_s) * 1e6)
        return histogram, unseen


Buckets = Mapping[Pipeline, Mapping[int, int]]
"""Pipeline → bucket of ``coffee_core.latency`` → orders: from acceptance to visibility, order by order."""


async def read_buckets(redis_url: str, pipelines: Iterable[Pipeline]) -> Buckets:
    """Return the lab's cumulative latency histograms as they stand. Raises RedisError."""
    async with open_redis(redis_url) as client:
        return {pipeline: await _buckets(client, pipeline) for pipeline in pipelines}


async def _buckets(client: Redis, pipeline: Pipeline) -> dict[int, int]:
    found: Any = client.hgetall(MetricKeys(pipeline).latency)
    return {int(bucket): int(orders) for bucket, orders in (await found).items()}


class VisibilityWatcher:
    """Looks at the totals of some pipelines whenever one has changed, until the end of its block.

    Those under another name where ``shown_as`` has one.
    """

    def __init__(
        self, redis_url: str, pipelines: Sequence[Pipeline], shown_as: Mapping[Pipeline, str] = {}
    ) -> None:
        self._redis_url = redis_url
        self._keys = [MetricKeys(shown_as.get(pipeline, pipeline)).total_orders for pipeline in pipelines]
        self.histories = {pipeline: TotalHistory() for pipeline in pipelines}
        """What has been seen."""
        self._link: RedisLink | None = None
        self._step_s = _TRACKED_POLL_S
        self._looking: asyncio.Future[Any] | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Look once, then in the background. Raises UnavailableError where that is not possible."""
        await self._open()
        assert self._looking is not None, "it has just asked"
        await asyncio.wait({self._looking})
        self._task = asyncio.create_task(self._run(), name="visibility watcher")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop looking; raise what went wrong with it."""
        if self._task is not None:
            await end_tasks(self._task)
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
        while any(self.histories[pipeline].total < total for pipeline, total in totals.items()):
            self.check()
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(_REACHED_POLL_S)
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
        self._link, tracked = await connect(self._redis_url, self._look)
        self._step_s = _TRACKED_POLL_S if tracked else _POLL_S
        self._look()

    def _look(self) -> None:
        """Ask for the totals, unless an answer is still to come: that one will be of now, too."""
        # One that has come, and whose callback is yet to be called, is older than the notification behind it.
        asking = self._looking is not None and not self._looking.done()
        if not asking and self._link is not None and self._link.is_open:
            self._looking = self._link.send("MGET", *self._keys)
            self._looking.add_done_callback(self._seen)

    def _seen(self, reply: "asyncio.Future[Any]") -> None:
        now_s = time.monotonic()
        if isinstance(error := reply.exception(), ReplyError):
            assert self._link is not None, "it has replied"
            self._link.close()  # it loads its data, or no longer accepts us: connect again
        elif error is None:
            for history, total in zip(self.histories.values(), reply.result(), strict=True):
                history.note(now_s, int(total or 0))
