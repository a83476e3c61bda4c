"""The bench from beginning to end: every step in turn, rounds interleaved, what is done is kept."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import ClientError
from aiokafka.errors import KafkaError

from backend.clients.daemon import OUTAGES
from backend.lab.bench import ceilings
from backend.lab.bench.bench_stack import BenchStack
from backend.lab.bench.figures import Better, Figures
from backend.lab.bench.harness import Harness, measuring
from backend.lab.bench.result import Result
from backend.lab.bench.size import Size
from backend.lab.bench.steps_catch_up import catch_up
from backend.lab.bench.steps_drain import (
    can_drain,
    drain,
    drain_by_textbook,
    drain_by_two,
    drain_storing,
    has_textbook,
    runs_on_flink,
    worker_of,
)
from backend.lab.bench.steps_idle import (
    first_orders,
    measure_idle_cpu,
    measure_memory_after,
    measure_memory_before,
    wait_for_rest,
)
from backend.lab.bench.steps_kill import KillTimeline, kill_processors
from backend.lab.bench.steps_load import MANY, baselines, breakpoint_of, closed, rate, warm
from backend.lab.bench.steps_table import TABLE_PIPELINE, big_table
from backend.lab.bench.usage import facts
from backend.pipelines.audit import audit
from backend.stack.stop_signal import stop_on_signals
from coffee_core.errors import CoffeeError
from coffee_core.pipelines import LogKind, Pipeline
from coffee_core.tasks import end_tasks

_STOP_S = 5.0
_RUNS_WITHIN_S = 15.0
"""Seconds for the last run of a pipeline that is written by runs; v1's come every 10 s."""
_TROUBLE = (CoffeeError, *OUTAGES, KafkaError, ClientError)
"""What one step may meet without an end of all others."""
STEADINESS_FIGURE = "noop.closed.32.rate"
_STEADY = 1.25
"""Highest rate over the lowest at which a machine still counts as steady."""
Measured = TypeVar("Measured")
Announce = Callable[[str], None]
"""Takes a line of progress."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that is measured."""

    name: str
    about_s: float
    """How long it is likely to take."""
    run: Callable[[], Coroutine[Any, Any, None]]


def warming_up(harness: Harness, of: str = "") -> Step:
    """Return the step that comes before all others; its name begins with ``of``."""
    return Step(f"{of}warming up", harness.size.warm_s + 4, partial(warm, harness))


async def bench(size: Size, parent: Path, pipelines: Sequence[Pipeline], announce: Announce) -> Result:
    """Run everything on a stack of its own, whose data lie in a folder within ``parent`` for as long as it runs.

    SIGINT, SIGTERM and SIGHUP end it early, with what is done.

    Raises StackError where the stack does not come up.
    """
    return await until_signalled(lambda stopped: _bench(size, parent, pipelines, announce, stopped))


async def until_signalled(work: Callable[["asyncio.Task[bool]"], Coroutine[Any, Any, Measured]]) -> Measured:
    """Do some work with a task that is done once SIGINT, SIGTERM or SIGHUP asks it to end with what it has."""
    stop = asyncio.Event()
    stop_on_signals(stop.set)
    stopped = asyncio.create_task(stop.wait())
    try:
        return await work(stopped)
    finally:
        stopped.cancel()


async def _bench(
    size: Size, parent: Path, pipelines: Sequence[Pipeline], announce: Announce, stopped: "asyncio.Task[bool]"
) -> Result:
    started_s, timeline = time.monotonic(), KillTimeline()
    stack = BenchStack(parent, pipelines)
    async with started(size, stack, announce, stopped) as harness, baselines() as urls:
        complete = await run(list(all_steps(harness, urls, timeline)), harness, announce, stopped)
        result = await concluded(harness, timeline, announce, complete=complete)
    if size.other_stacks and complete:
        for pipeline in filter(runs_on_flink, pipelines):
            try:
                result.complete &= await _two_slots(size, parent, pipeline, result.figures, announce, stopped)
            except CoffeeError as error:
                result.complete = False
                result.notes.append(f"{pipeline} with two slots could not be measured: {error}")
        for pipeline, name in ((each, name) for each in pipelines for name in each.info.variants):
            try:
                result.complete &= await _variant(size, parent, pipeline, name, result, announce, stopped)
            except CoffeeError as error:
                result.complete = False
                result.notes.append(f"{pipeline}, {name}, could not be measured: {error}")
    result.seconds = time.monotonic() - started_s
    return result


async def concluded(harness: Harness, timeline: KillTimeline, announce: Announce, *, complete: bool) -> Result:
    """Return what was measured, with an audit of every order; its seconds are yet to be set."""
    announce("waiting until the last orders are visible")
    await all_visible(harness)
    balances = await audit(harness.settings, harness.pipelines)
    known = await facts(harness.settings)
    harness.notes += unsteadiness(harness.figures)
    result = Result.of(harness, timeline, balances, known, complete=complete, seconds=0)
    announce("stopping the stack")
    return result


async def all_visible(harness: Harness) -> None:
    """Wait until what was accepted is visible, also where runs show it."""
    wanted = {pipeline: harness.accepted[pipeline] for pipeline in harness.pipelines}
    await harness.watcher.reached(wanted, _RUNS_WITHIN_S)


async def _two_slots(
    size: Size,
    parent: Path,
    pipeline: Pipeline,
    figures: Figures,
    announce: Announce,
    stopped: "asyncio.Task[bool]",
) -> bool:
    """Measure a drain once more with two slots, on a stack of its own; return whether it was measured."""
    stack = BenchStack(parent, (pipeline,), {"COFFEE_FLINK_PARALLELISM": "2"})
    async with started(size, stack, announce, stopped) as harness:
        name = f"{pipeline} with two slots: its job down, then draining"
        steps = [Step(name, 90, partial(drain, harness, pipeline))] * 2
        complete = await run(steps, harness, announce, stopped)
    # The second of two: the first warms up what a stack in use has warm.
    if drained := harness.figures.get(f"{pipeline}.drain.rate"):
        figures.add(f"{pipeline}.drain2.rate", drained.values[-1], "/s", Better.HIGHER)
    return complete


async def _variant(
    size: Size,
    parent: Path,
    pipeline: Pipeline,
    name: str,
    result: Result,
    announce: Announce,
    stopped: "asyncio.Task[bool]",
) -> bool:
    """Measure how much a variant of a pipeline takes, on a stack of its own; return whether it was measured."""
    stack = BenchStack(parent, (pipeline,), pipeline.info.variants[name])
    async with started(size, stack, announce, stopped) as harness:
        url = f"{harness.settings.api_url}/api/{pipeline}/order"
        ladder_s = sum(map(size.step_s_at, size.ladder))
        steps = [
            warming_up(harness, f"{pipeline}, {name}: "),
            Step(f"{pipeline}, {name}: closed loops", 2 * size.closed_s, partial(closed, harness, pipeline, url)),
            Step(f"{pipeline}, {name}: breakpoint", ladder_s, partial(breakpoint_of, harness, pipeline)),
        ]
        complete = await run(steps, harness, announce, stopped)
    for of in ("closed.1.rate", f"closed.{MANY}.rate", "breakpoint"):
        if figure := harness.figures.get(f"{pipeline}.{of}"):
            result.figures.add(f"{pipeline}.{name}.{of}", figure.values[-1], "/s", Better.HIGHER)
    result.notes += [f"{name}: {note}" for note in harness.notes]
    return complete


@asynccontextmanager
async def started(
    size: Size, stack: BenchStack, announce: Announce, stopped: "asyncio.Task[bool]"
) -> AsyncIterator[Harness]:
    """Start a stack and all that measures it. Raises CoffeeError where we are asked to end before it is up."""
    async with stack:
        announce(f"a stack of the bench's own starts in {stack.home}: your own data is not touched")
        async with measuring(size, stack) as harness:
            if not await _unless(stopped, _start(harness)):
                raise CoffeeError("interrupted before anything was measured")
            yield harness


async def _start(harness: Harness) -> None:
    await first_orders(harness)
    await harness.stack.wait_until_up()


async def run(steps: Sequence[Step], harness: Harness, announce: Announce, stopped: "asyncio.Task[bool]") -> bool:
    """Run the steps; return whether none was left out."""
    complete = True
    for place, step in enumerate(steps):
        minutes, seconds = divmod(round(sum(later.about_s for later in steps[place:]) + _STOP_S), 60)
        announce(f"{place + 1:>3} of {len(steps)}  {step.name} · about {minutes}:{seconds:02} left")
        try:
            if not await _unless(stopped, step.run()):
                announce("ending: what is done is kept")
                harness.notes.append(f"interrupted at {step.name!r}: nothing after it was measured")
                return False
        except _TROUBLE as error:
            harness.stack.require()
            announce(f"{step.name}: {error}")
            harness.notes.append(f"{step.name} could not be measured: {error}")
            await harness.resync()
            complete = False
    return complete


async def _unless(stopped: "asyncio.Task[bool]", work: Coroutine[Any, Any, None]) -> bool:
    """Do some work; return False where we were asked to end before it was done. Raises what it raises."""
    doing = asyncio.create_task(work)
    await asyncio.wait({doing, stopped}, return_when=asyncio.FIRST_COMPLETED)
    if doing.done():
        doing.result()
        return True
    await end_tasks(doing)
    return False


def all_steps(harness: Harness, urls: dict[str, str], timeline: KillTimeline) -> Iterator[Step]:
    """Yield the steps in their order: rounds that interleave the pipelines, then what is measured once.

    ``urls`` are those of the endpoints without a pipeline, by their names.
    """
    size, pipelines = harness.size, harness.pipelines
    yield warming_up(harness)
    yield Step("the stack comes to rest", 20, partial(wait_for_rest, harness))
    yield Step("memory beforehand", 0.5, partial(measure_memory_before, harness))
    for number in range(1, size.rounds + 1):
        label = f"round {number} of {size.rounds}"
        # Each round begins with another pipeline: none of them always comes first after the same one.
        turn = [*pipelines[number % len(pipelines) :], *pipelines[: number % len(pipelines)]]
        yield Step(f"{label}: idle", size.idle_s, partial(measure_idle_cpu, harness))
        yield from _ceilings(harness, label)
        orders = {str(pipeline): f"{harness.settings.api_url}/api/{pipeline}/order" for pipeline in turn}
        for target, url in (urls | orders).items():
            yield Step(
                f"{label}: {target}, closed loops", 2 * size.closed_s + 1.5, partial(closed, harness, target, url)
            )
        for offered in size.rates:
            for chosen in (*((pipeline,) for pipeline in turn), pipelines):
                yield Step(
                    f"{label}: {', '.join(chosen)} at {offered:,}/s",
                    (size.load_s_at(offered) if len(chosen) == 1 else size.load_s) + 0.5,
                    partial(rate, harness, chosen, offered),
                )
    for pipeline in pipelines:
        ladder_s = sum(map(size.step_s_at, size.ladder))
        yield Step(f"breakpoint of {pipeline}", ladder_s, partial(breakpoint_of, harness, pipeline))
    yield from _drains(harness)
    kills_s = 2 + size.fault_s * len(pipelines) + 8
    yield Step("workers killed under load", kills_s, partial(kill_processors, harness, timeline))
    if TABLE_PIPELINE in pipelines:
        table_s = size.table_rows / 50_000 + 2 * size.table_rounds * size.load_s
        yield Step(f"{TABLE_PIPELINE} with {size.table_rows:,} rows more", table_s, partial(big_table, harness))
    yield Step("memory afterwards", 0.5, partial(measure_memory_after, harness))
    # Once more: whether the machine is still as fast as it was in the rounds.
    yield Step("noop, closed loops", 2 * size.closed_s + 1.5, partial(closed, harness, "noop", urls["noop"]))


def _ceilings(harness: Harness, label: str) -> Iterator[Step]:
    figures, settings, for_s = harness.figures, harness.settings, harness.size.closed_s
    fsync = partial(ceilings.fsync, figures, harness.stack.home, for_s)
    yield Step(f"{label}: fsync of the disk", for_s * 1.5, partial(asyncio.to_thread, fsync))
    yield Step(f"{label}: bare XADD", for_s, partial(ceilings.xadd, figures, settings, for_s))
    yield Step(f"{label}: bare bulk INSERT", for_s, partial(ceilings.insert, figures, settings, for_s))
    if _topics(harness):
        yield Step(f"{label}: bare Kafka", for_s + 0.3, partial(ceilings.kafka, figures, settings, for_s))


def _drains(harness: Harness) -> Iterator[Step]:
    size, pipelines = harness.size, [pipeline for pipeline in harness.pipelines if can_drain(pipeline)]
    drain_s = size.preload / 15_000 + size.down_s
    for _ in range(size.drains):
        for pipeline in pipelines:
            processor, more_s = ("job", 12) if runs_on_flink(pipeline) else ("worker", 1)
            name = f"{pipeline}: its {processor} down, then draining"
            yield Step(name, drain_s + more_s, partial(drain, harness, pipeline))
            if pipeline.info.storer:
                name = f"{pipeline}: its {pipeline.info.storer} down, then storing"
                yield Step(name, drain_s + 3, partial(drain_storing, harness, pipeline))
            if worker_of(pipeline) is not None:
                name = f"{pipeline}: two workers down, then draining"
                yield Step(name, drain_s + 3, partial(drain_by_two, harness, pipeline))
            if has_textbook(pipeline):
                name = f"{pipeline}: a textbook consumer of the same topic"
                yield Step(
                    name, min(size.preload, 100_000) / 5_000 + 8, partial(drain_by_textbook, harness, pipeline)
                )
    for share, pipeline in product(size.catch_up, pipelines):
        name = f"{pipeline}: catching up while orders come at {share} % of its breakpoint"
        about_s = size.backlog_s + size.catch_up_within_s + 5
        yield Step(name, about_s, partial(catch_up, harness, pipeline, share))
    for topic in _topics(harness)[:1]:
        consume = partial(ceilings.consume, harness.figures, harness.settings, topic, size.preload)
        yield Step("bare consume of the topic", 2, consume)


def _topics(harness: Harness) -> list[str]:
    """Return the topics that pipelines have for a log."""
    logs = (pipeline.info.log for pipeline in harness.pipelines)
    return [log.name for log in logs if log is not None and log.kind is LogKind.TOPIC]


def unsteadiness(figures: Figures) -> list[str]:
    """Return, as notes of a report, whether the machine was equally fast all the time; nothing of a steady one.

    It is judged by what does nothing of ours: the no-op endpoint.
    """
    figure = figures.get(STEADINESS_FIGURE)
    if figure is None or figure.high <= _STEADY * figure.low:
        return []
    course = ", ".join(f"{value:,.0f}" for value in figure.values)
    note = (
        "the machine was not equally fast all the time: the no-op endpoint gave, round by round and at the end, "
        f"{course} answers/s; what is measured once (breakpoints, drains, kills) met it as it was then"
    )
    return [note]
