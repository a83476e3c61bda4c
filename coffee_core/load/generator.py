"""Ties schedule, mix and sender together: a load that can be started, changed and stopped while it runs."""

import asyncio
import math
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from types import TracebackType
from typing import Protocol, Self

from coffee_core.load.alarm import Alarm, open_alarm
from coffee_core.load.lane import Lane
from coffee_core.load.mix import Attempt, Mix
from coffee_core.load.outcome import Answer
from coffee_core.load.shape import Shape
from coffee_core.load.statistics import Counts
from coffee_core.pipelines import Pipeline

_SEED_STRIDE = 100
"""More than there are client processes (64), each of which adds its number to the seed."""


class Sends(Protocol):
    """A client of the order API, such as ``Sender``."""

    async def send(self, attempt: Attempt, intended_s: float | None = None) -> Answer:
        """Send one attempt; every failure of the network is an outcome, never an exception."""
        ...


class Generator:
    """Sends a mix to some pipelines: in a shape for each, until told otherwise or for a time, and in bursts.

    Use it as an asynchronous context manager; leaving it waits for the answers to what was sent.
    """

    def __init__(
        self,
        sender: Sends,
        mix: Mix,
        *,
        on_answer: Callable[[Answer], None] | None = None,
        in_flight: int = 512,
    ) -> None:
        self._sender = sender
        self._mix = mix
        self._on_answer = on_answer
        self._room = asyncio.Semaphore(in_flight)
        self._lanes = {pipeline: Lane() for pipeline in Pipeline}
        self._changed = asyncio.Event()
        self._ended = asyncio.Event()
        self._sending: set[asyncio.Task[None]] = set()
        self._watch: asyncio.Task[None] | None = None
        self._failed: BaseException | None = None
        self._held_until_s = -math.inf
        """When there was room again after the servers had taken all of it, monotonic seconds."""

    @property
    def mix(self) -> Mix:
        """What is sent; its settings may change while it is."""
        return self._mix

    async def __aenter__(self) -> Self:
        """Begin to watch the schedules."""
        self._watch = asyncio.create_task(self._run(), name="load: generator")
        self._watch.add_done_callback(self._note)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, wait for the answers, and raise what went wrong inside."""
        self.stop()
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait({self._watch, *self._sending})
        if self._failed is not None and error is None:
            raise self._failed

    @property
    def running(self) -> bool:
        """Tell whether a rate is set on any pipeline."""
        return any(lane.running for lane in self._lanes.values())

    def run_at(self, rate_per_s: float, pipelines: Iterable[Pipeline]) -> None:
        """Offer orders to exactly these pipelines, each at this constant rate, from now on.

        Raises ValueError of a rate that is not greater than 0; else as ``run``.
        """
        self.run(Shape(rate_per_s), pipelines)

    def run(self, shape: Shape, pipelines: Iterable[Pipeline]) -> None:
        """Offer orders to exactly these pipelines, each in this shape, from now on.

        What was offered before and not yet sent is still sent, as late as it is.
        """
        chosen, now_s = set(pipelines), time.monotonic()
        for pipeline, lane in self._lanes.items():
            lane.run(shape if pipeline in chosen else None, now_s)
        self._changed.set()

    def run_for(
        self,
        shape: Shape,
        pipelines: Iterable[Pipeline],
        start_s: float,
        for_s: float,
        seed: int | None = None,
    ) -> None:
        """Offer orders to each of these pipelines from ``start_s`` (monotonic seconds) on, for so many seconds."""
        # Each has customers of its own: at the same random moments all would meet the bursts of all.
        for place, pipeline in enumerate(dict.fromkeys(pipelines)):
            own = None if seed is None else seed + place * _SEED_STRIDE
            self._lanes[pipeline].run_for(shape, start_s, for_s, own)
        self._changed.set()

    def burst(self, orders: int, pipelines: Iterable[Pipeline]) -> None:
        """Offer a number of orders to each of these pipelines, all at once."""
        now_s = time.monotonic()
        for pipeline in set(pipelines):
            self._lanes[pipeline].burst(orders, now_s)
        self._changed.set()

    def stop(self) -> None:
        """Offer nothing more, and drop what was offered and not yet sent: it stays counted as offered."""
        now_s = time.monotonic()
        for lane in self._lanes.values():
            lane.drop(now_s)
        self._changed.set()
        self._ended.set()

    def counts(self) -> dict[Pipeline, Counts]:
        """Return each pipeline's counts as they stand. Raises what went wrong inside the generator."""
        if self._failed is not None:
            raise self._failed
        now_s = time.monotonic()
        return {pipeline: lane.counts(now_s) for pipeline, lane in self._lanes.items()}

    async def idle(self) -> None:
        """Wait until nothing is due and everything sent has ended; a set rate never gets there.

        Raises what went wrong inside the generator.
        """
        while self._failed is None and (self._sending or self._due()[1] < math.inf):
            self._ended.clear()
            await self._ended.wait()
        if self._failed is not None:
            raise self._failed

    async def _run(self) -> None:
        with closing(open_alarm(self._changed.set)) as alarm:
            await self._send_what_is_due(alarm)

    async def _send_what_is_due(self, alarm: Alarm) -> None:
        while True:
            self._changed.clear()
            lane_name, next_s = self._due()
            if next_s > time.monotonic():
                alarm.set(next_s)
                await self._changed.wait()
                continue
            if self._room.locked():
                await self._room.acquire()
                self._held_until_s = time.monotonic()
            else:
                await self._room.acquire()
            now_s = time.monotonic()
            # While it waited for room, a stop may have dropped what was due.
            if self._lanes[lane_name].next_s > now_s:
                self._room.release()
                continue
            self._begin(lane_name, self._lanes[lane_name].take(now_s), now_s)

    def _due(self) -> tuple[Pipeline, float]:
        return min(((name, lane.next_s) for name, lane in self._lanes.items()), key=lambda due: due[1])

    def _begin(self, pipeline: Pipeline, intended_s: float, now_s: float) -> None:
        counts = self._lanes[pipeline].counts(now_s)
        counts.begun(now_s - intended_s, now_s - max(intended_s, self._held_until_s))
        task = asyncio.create_task(self._send(self._mix.next(pipeline), intended_s, counts))
        self._sending.add(task)
        task.add_done_callback(self._note)

    async def _send(self, attempt: Attempt, intended_s: float, counts: Counts) -> None:
        try:
            answer = await self._sender.send(attempt, intended_s)
        finally:
            self._room.release()
        counts.record(answer)
        if self._on_answer is not None:
            self._on_answer(answer)

    def _note(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._failed = self._failed or task.exception()
        self._ended.set()
