"""Sends random orders on a schedule: a load that can be started, changed and stopped while it runs."""

import asyncio
import ctypes
import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from types import TracebackType
from typing import Any, Protocol, Self, TypeAlias

from coffee_core.load.orders import Attempt, RandomOrders
from coffee_core.load.plan import LoadReport, Plan
from coffee_core.load.schedule import Burst, OpenTimes, Shape, Times
from coffee_core.load.statistics import Answer, LoadCounts, Sample, SampleRecorder
from coffee_core.pipelines import PIPELINES, Pipeline

_SEED_STRIDE = 100
"""More than there are client processes (64), each of which adds its number to the seed."""
_REPORT_EVERY_S = 0.25
_NS_PER_S = 1_000_000_000
_TFD_TIMER_ABSTIME = 1


class Sends(Protocol):
    """A client of the order API, such as ``Sender``."""

    async def send(self, attempt: Attempt, intended_s: float | None = None) -> Answer:
        """Send one attempt; every failure of the network is an outcome, never an exception."""
        ...


class Generator:
    """Sends random orders to some pipelines, to each in a shape, without an end or for a time, and in bursts.

    Use it as an asynchronous context manager; leaving it waits for the answers to what was sent.
    """

    def __init__(
        self,
        sender: Sends,
        orders: RandomOrders,
        *,
        on_answer: Callable[[Answer], None] | None = None,
        in_flight: int = 512,
    ) -> None:
        self._sender = sender
        self._orders = orders
        self._on_answer = on_answer
        self._slots = asyncio.Semaphore(in_flight)
        self._schedules = {pipeline: PipelineSchedule() for pipeline in PIPELINES}
        self._changed = asyncio.Event()
        self._ended = asyncio.Event()
        self._sending: set[asyncio.Task[None]] = set()
        self._loop_task: asyncio.Task[None] | None = None
        self._failed: BaseException | None = None
        self._held_until_s = -math.inf
        """When a slot was free again after requests without an answer had taken all of them, monotonic seconds."""

    @property
    def orders(self) -> RandomOrders:
        """What is sent; its mix may change meanwhile."""
        return self._orders

    async def __aenter__(self) -> Self:
        """Begin to watch the schedules."""
        self._loop_task = asyncio.create_task(self._run(), name="load: generator")
        self._loop_task.add_done_callback(self._forget)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, wait for the answers, and raise what went wrong inside."""
        self.stop()
        if self._loop_task is not None:
            self._loop_task.cancel()
            await asyncio.wait({self._loop_task, *self._sending})
        if self._failed is not None and error is None:
            raise self._failed

    @property
    def running(self) -> bool:
        """Tell whether a rate is set on any pipeline."""
        return any(schedule.running for schedule in self._schedules.values())

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
        for pipeline, schedule in self._schedules.items():
            schedule.run(shape if pipeline in chosen else None, now_s)
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
            own_seed = None if seed is None else seed + place * _SEED_STRIDE
            self._schedules[pipeline].run_for(shape, start_s, for_s, own_seed)
        self._changed.set()

    def burst(self, orders: int, pipelines: Iterable[Pipeline]) -> None:
        """Offer a number of orders to each of these pipelines, all at once."""
        now_s = time.monotonic()
        for pipeline in set(pipelines):
            self._schedules[pipeline].burst(orders, now_s)
        self._changed.set()

    def stop(self) -> None:
        """Offer nothing more, and drop what was offered and not yet sent: it stays counted as offered."""
        now_s = time.monotonic()
        for schedule in self._schedules.values():
            schedule.drop(now_s)
        self._changed.set()
        self._ended.set()

    def report(self, latest: Sequence[Mapping[str, Any]] = ()) -> LoadReport:
        """Return where the load stands. Raises what went wrong inside the generator."""
        counts = {str(pipeline): counts.as_dict() for pipeline, counts in self.counts().items()}
        return LoadReport(self.running, counts, latest)

    def counts(self) -> dict[Pipeline, LoadCounts]:
        """Return each pipeline's counts as they stand. Raises what went wrong inside the generator."""
        if self._failed is not None:
            raise self._failed
        now_s = time.monotonic()
        return {pipeline: schedule.counts(now_s) for pipeline, schedule in self._schedules.items()}

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

    async def _send_what_is_due(self, alarm: "Alarm") -> None:
        while True:
            self._changed.clear()
            pipeline, next_s = self._due()
            if next_s > time.monotonic():
                alarm.set(next_s)
                await self._changed.wait()
                continue
            if self._slots.locked():
                await self._slots.acquire()
                self._held_until_s = time.monotonic()
            else:
                await self._slots.acquire()
            now_s = time.monotonic()
            # While it waited for a slot, a stop may have dropped what was due.
            if self._schedules[pipeline].next_s > now_s:
                self._slots.release()
                continue
            self._begin(pipeline, self._schedules[pipeline].pop(now_s), now_s)

    def _due(self) -> tuple[Pipeline, float]:
        return min(((name, schedule.next_s) for name, schedule in self._schedules.items()), key=lambda due: due[1])

    def _begin(self, pipeline: Pipeline, intended_s: float, now_s: float) -> None:
        counts = self._schedules[pipeline].counts(now_s)
        counts.record_send(now_s - intended_s, now_s - max(intended_s, self._held_until_s))
        task = asyncio.create_task(self._send(self._orders.next(pipeline), intended_s, counts))
        self._sending.add(task)
        task.add_done_callback(self._forget)

    async def _send(self, attempt: Attempt, intended_s: float, counts: LoadCounts) -> None:
        try:
            answer = await self._sender.send(attempt, intended_s)
        finally:
            self._slots.release()
        counts.record(answer)
        if self._on_answer is not None:
            self._on_answer(answer)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._failed = self._failed or task.exception()
        self._ended.set()


async def run_plan(
    plan: Plan, sender: Sends, on_report: Callable[[LoadReport], None] | None = None
) -> dict[Pipeline, Sample]:
    """Run a plan to its end in this process: offer it, wait for the last answer, and return what was measured.

    What has not been sent when its overtime is up stays unsent, and counted as offered.
    ``on_report`` is called four times a second with where the load stands. Raises what went wrong inside.
    """
    recorders = {pipeline: SampleRecorder() for pipeline in plan.pipelines}

    def on_answer(answer: Answer) -> None:
        recorders[answer.attempt.pipeline].record(answer)

    orders = RandomOrders(plan.mix, seed=plan.seed)
    async with Generator(sender, orders, on_answer=on_answer, in_flight=plan.in_flight) as generator:
        generator.run_for(plan.shape, plan.pipelines, plan.start_s, plan.for_s, plan.seed)
        idle = asyncio.create_task(generator.idle())
        while not (await asyncio.wait({idle}, timeout=_REPORT_EVERY_S))[0]:
            if plan.overtime_s is not None and time.monotonic() > plan.start_s + plan.for_s + plan.overtime_s:
                generator.stop()
            if on_report is not None:
                on_report(generator.report())
        idle.result()
        counts = generator.counts()
    return {pipeline: recorder.sample.fill_from(counts[pipeline]) for pipeline, recorder in recorders.items()}


class PipelineSchedule:
    """What is due for one pipeline, by at most one open schedule, closed ones that are not used up, and bursts."""

    def __init__(self) -> None:
        self._counts = LoadCounts()
        self._open: OpenTimes | None = None
        self._active: list[Times] = []
        self._past = 0

    @property
    def running(self) -> bool:
        """Tell whether a load without an end is set."""
        return self._open is not None

    @property
    def next_s(self) -> float:
        """When the next order is meant to be sent, monotonic seconds; infinity where nothing is due."""
        return min((times.next_s for times in self._active), default=math.inf)

    def pop(self, now_s: float) -> float:
        """Return the next intended time and move on."""
        intended_s = min(self._active, key=lambda times: times.next_s).pop()
        self._retire(now_s)
        return intended_s

    def run(self, shape: Shape | None, now_s: float) -> None:
        """Go on in another shape (None: in none); what was offered before stays due."""
        start_s = now_s
        if self._open is not None:
            planned_s = self._open.close(now_s)
            # The next order keeps its time where the new rate would not have it earlier.
            start_s = planned_s if shape is None else min(planned_s, now_s + 1 / shape.rate_per_s)
        self._open = None if shape is None else shape.times(start_s)
        if self._open is not None:
            self._active.append(self._open)
        self._retire(now_s)

    def run_for(self, shape: Shape, start_s: float, for_s: float, seed: int | None = None) -> None:
        """Offer a shape from ``start_s`` (monotonic seconds) on, for so many seconds."""
        times = shape.times(start_s, seed)
        times.close(start_s + for_s)
        self._active.append(times)

    def burst(self, orders: int, now_s: float) -> None:
        """Offer a number of orders at once."""
        self._active.append(Burst(orders, now_s))

    def drop(self, now_s: float) -> None:
        """Offer nothing more; what was offered and not sent stays counted as offered."""
        self._past, self._open = self._offered(now_s), None
        self._active.clear()

    def counts(self, now_s: float) -> LoadCounts:
        """Return the counts as they stand."""
        self._counts.offered = self._offered(now_s)
        return self._counts

    def _offered(self, now_s: float) -> int:
        return self._past + sum(times.offered(now_s) for times in self._active)

    def _retire(self, now_s: float) -> None:
        for times in [times for times in self._active if times.next_s == math.inf]:
            self._past += times.offered(now_s)
            self._active.remove(times)


class _ITimerSpec(ctypes.Structure):
    """``struct itimerspec``: seconds and nanoseconds between two rings, then those of the first."""

    _fields_ = [(name, ctypes.c_long) for name in ("again_s", "again_ns", "at_s", "at_ns")]


class PreciseAlarm:
    """An alarm by a timer of Linux that is a file descriptor (timerfd, which Python has from 3.13 on).

    It rings within a tenth of a millisecond; an event loop's own timers know whole milliseconds alone.
    """

    def __init__(self, ring: Callable[[], None]) -> None:
        self._c = ctypes.CDLL(None, use_errno=True)
        self._fd = self._c.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._ring = ring
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._fd, self._rings)

    def set(self, at_s: float) -> None:
        """Ring once at this moment, monotonic seconds, and not at the one set before; infinity is never."""
        # All zeros would be never: a moment that has passed rings at once.
        at_ns = 0 if at_s == math.inf else max(1, int(at_s * _NS_PER_S))
        timer = _ITimerSpec(0, 0, *divmod(at_ns, _NS_PER_S))
        if self._c.timerfd_settime(self._fd, _TFD_TIMER_ABSTIME, ctypes.byref(timer), None) < 0:
            raise OSError(ctypes.get_errno(), "timerfd_settime")

    def close(self) -> None:
        """Ring no more."""
        self._loop.remove_reader(self._fd)
        os.close(self._fd)

    def _rings(self) -> None:
        # A timer that was set again since it rang has nothing to read: it must not ring yet.
        try:
            os.read(self._fd, 8)
        except BlockingIOError:
            return
        self._ring()


class CoarseAlarm:
    """An alarm by the event loop's own timers, for other systems: up to 1.5 ms late."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def set(self, at_s: float) -> None:
        """Ring once at this moment, monotonic seconds, and not at the one set before; infinity is never."""
        self.close()
        if at_s < math.inf:
            self._timer = self._loop.call_later(at_s - time.monotonic(), self._ring)

    def close(self) -> None:
        """Ring no more."""
        if self._timer is not None:
            self._timer.cancel()


Alarm: TypeAlias = PreciseAlarm | CoarseAlarm


def open_alarm(ring: Callable[[], None]) -> Alarm:
    """Return the best alarm that this system has, for the running event loop."""
    return PreciseAlarm(ring) if sys.platform == "linux" else CoarseAlarm(ring)
