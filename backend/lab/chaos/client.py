"""The client of a pipeline under load, which remembers every attempt and every answer; and the totals, watched.

No counter is trusted: what the comparison rests on is the client's own list.
"""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from types import TracebackType
from typing import Self

from redis.asyncio import Redis
from redis.exceptions import RedisError

from backend.lab.chaos.comparison import failed
from coffee_core.keys import MetricKeys
from coffee_core.load.generator import Generator
from coffee_core.load.orders import Attempt, Kind, OrderMix, RandomOrders
from coffee_core.load.sender import Sender
from coffee_core.load.statistics import Answer, Outcome
from coffee_core.metrics import parse_totals
from coffee_core.pipelines import Pipeline
from coffee_core.totals import Totals

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_IN_FLIGHT = 128
"""As many connections: what comes later is sent late, instead of timing out in a queue of our own."""
_KEYLESS = 0.05
"""Share of orders without a key: such a client cannot repeat, but must not be stored twice either."""
_LOOK_EVERY_S = 0.02
_REDIS_WITHIN_S = 1.0


class Client:
    """Sends a mix at a constant rate, open loop. Use it as an asynchronous context manager.

    A pipeline's client has connections of its own: one that hangs does not hold up another.
    """

    def __init__(
        self,
        api_url: str,
        pipeline: Pipeline,
        authorization: Mapping[str, str] | None = None,
        on_answer: Callable[[Answer, float], None] | None = None,
    ) -> None:
        """``on_answer`` is called with each answer, and when its request was begun (monotonic seconds)."""
        self.pipeline = pipeline
        """Where everything goes."""
        self.answers: list[Answer] = []
        """Every answer, in the order in which they came."""
        self._mix = RandomOrders(OrderMix(keyless=_KEYLESS), remember=True)
        self._sender = _TimedSender(api_url, authorization, on_answer)
        self._generator = Generator(self._sender, self._mix, on_answer=self.answers.append, in_flight=_IN_FLIGHT)
        self._repeated: list[Attempt] = []
        self._opened = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Open the connections; nothing is sent yet."""
        await self._opened.enter_async_context(self._sender)
        await self._opened.enter_async_context(self._generator)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Offer nothing more and wait for the answers to what was sent."""
        await self._opened.__aexit__(kind, error, trace)

    def run_at(self, rate_per_s: float) -> None:
        """Offer this many orders a second from now on."""
        self._generator.run_at(rate_per_s, [self.pipeline])

    def check(self) -> None:
        """Raise what went wrong inside the load."""
        self._generator.counts()

    @property
    def attempts(self) -> list[Attempt]:
        """Everything that was sent or is about to be."""
        return [*self._mix.attempted, *self._repeated]

    @property
    def begun(self) -> int:
        """Distinct well-formed orders so far."""
        return sum(attempt.kind is Kind.NEW for attempt in self._mix.attempted)

    @property
    def waiting(self) -> int:
        """Requests that were meant to be sent by now and have no answer yet."""
        counts = self._generator.counts()[self.pipeline]
        return counts.offered - counts.ended

    def failures(self) -> list[str]:
        """Return the reasons of failed requests and how often there was which, the most frequent first."""
        reasons = Counter(_UUID.sub("…", answer.reason) for answer in self.answers if failed(answer))
        return [f"{count:,} × {reason}" for reason, count in reasons.most_common()]

    def first_accepted(self) -> Attempt | None:
        """Return the earliest order under a key of the client's own that was acknowledged."""
        for answer in self.answers:
            if answer.outcome is Outcome.ACKNOWLEDGED and answer.attempt.key:
                return answer.attempt
        return None

    async def storm(self, orders: int, times: int) -> None:
        """Send the last orders again under their keys, several times over, all at once."""
        last = [sent for sent in self._mix.attempted[-orders:] if sent.kind is Kind.NEW and sent.key]
        repeats = [replace(attempt, kind=Kind.REPEAT) for attempt in last for _ in range(times)]
        self._repeated += repeats
        self.answers += await asyncio.gather(*map(self._sender.send, repeats))


class _TimedSender(Sender):
    """Tells of each answer, and when its request was begun."""

    def __init__(
        self,
        api_url: str,
        authorization: Mapping[str, str] | None,
        on_answer: Callable[[Answer, float], None] | None,
    ) -> None:
        super().__init__(api_url, connections=_IN_FLIGHT, authorization=authorization)
        self._on_answer = on_answer

    async def send(self, attempt: Attempt, intended_s: float | None = None) -> Answer:
        sent_s = time.monotonic()
        answer = await super().send(attempt, intended_s)
        if self._on_answer is not None:
            self._on_answer(answer, sent_s)
        return answer


class Watcher:
    """The shown totals of some pipelines, read many times a second. Use it as an asynchronous context manager.

    It sees when orders become visible again, and for how long nothing did.
    More is shown than was ever begun before the fault: then at least one order from after it is among what is
    shown. That needs no order of arrival, and errs by the few requests that were in flight.
    """

    def __init__(
        self,
        redis_url: str,
        pipelines: Iterable[Pipeline],
        on_visible: Callable[[Pipeline, float], None] | None = None,
        on_shown: Callable[[Pipeline, Totals, float, float], None] | None = None,
    ) -> None:
        """``on_shown`` is called with what a watcher sees: totals that have changed, all six keys at one moment.

        With them come the moments before and after they were read, in monotonic seconds.
        """
        self._client: Redis = Redis.from_url(
            redis_url,
            decode_responses=True,
            socket_timeout=_REDIS_WITHIN_S,
            socket_connect_timeout=_REDIS_WITHIN_S,
        )
        self._pipelines = tuple(pipelines)
        self._on_visible = on_visible
        self._on_shown = on_shown
        self._seen: dict[Pipeline, Totals] = {}
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
        """Begin to look, in the background."""
        self._task = asyncio.create_task(self._watch(), name="chaos: watcher")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End looking."""
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
        while not self._ended:
            asked_s = time.monotonic()
            try:
                totals = await self._read()
            except (RedisError, OSError):
                # Redis itself may be what was broken: nothing is visible then.
                pass
            else:
                self._note(totals, asked_s)
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _read(self) -> list[Totals]:
        """Return the totals of each pipeline, its six keys as they were at one moment."""
        keys = [MetricKeys(pipeline) for pipeline in self._pipelines]
        async with self._client.pipeline(transaction=True) as read:
            for each in keys:
                read.get(each.total_orders)
                read.get(each.total_revenue)
                for hash_ in each.hashes:
                    read.hgetall(hash_)
            replies = await read.execute()
        step = len(replies) // len(keys)
        return [
            parse_totals(replies[first], replies[first + 1], replies[first + 2 : first + step])
            for first in range(0, len(replies), step)
        ]

    def _note(self, read: list[Totals], asked_s: float) -> None:
        now_s = time.monotonic()
        for pipeline, totals in zip(self._pipelines, read, strict=True):
            if self._on_shown is not None and totals != self._seen.get(pipeline):
                self._seen[pipeline] = totals
                self._on_shown(pipeline, totals, asked_s, now_s)
            total = totals.orders
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
