"""The bench from beginning to end: every step in turn, rounds interleaved, what is done is kept."""

import asyncio
import signal
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from backend.lab.audit import audit
from backend.lab.bench import ceilings
from backend.lab.bench.clients import Clients
from backend.lab.bench.facts import facts
from backend.lab.bench.own_stack import OwnStack, free_ports
from backend.lab.bench.result import Result
from backend.lab.bench.rig import Rig
from backend.lab.bench.size import Size
from backend.lab.bench.steps_fault import FlowPicture, drain_stream, drain_stream_by_two, drain_topic, kills
from backend.lab.bench.steps_idle import afterwards, calm, first_orders, idle
from backend.lab.bench.steps_load import breakpoint_of, closed, noop, rate
from backend.lab.bench.visible import Visible
from backend.stack.polling import poll
from backend.stack.ports import is_free
from coffee_core.errors import CoffeeError
from coffee_core.pipelines import Pipeline

_START_S, _STOP_S = 25.0, 5.0
_V1_WITHIN_S = 15.0
_REDIS_WITHIN_S = 60.0
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that is measured."""

    name: str
    about_s: float
    """How long it is likely to take."""
    do: Callable[[], Coroutine[Any, Any, None]]


async def bench(size: Size, beside: Path, pipelines: Sequence[Pipeline], say: Say) -> Result:
    """Run everything on a stack of its own; SIGINT and SIGTERM end it early, with what is done.

    Raises StackError where the stack does not come up.
    """
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    asked = asyncio.create_task(stop.wait())
    running = asyncio.create_task(_bench(size, beside, pipelines, say, asked))
    try:
        return await running
    finally:
        asked.cancel()


async def _bench(
    size: Size, beside: Path, pipelines: Sequence[Pipeline], say: Say, asked: "asyncio.Task[bool]"
) -> Result:
    started_s, picture = time.monotonic(), FlowPicture()
    async with AsyncExitStack() as stack:
        own = await stack.enter_async_context(OwnStack(beside, pipelines))
        say(f"a stack of the bench's own starts in {own.home}: your own data is not touched")
        if not await poll(lambda: not is_free(own.settings.redis_port), 0.02, _REDIS_WITHIN_S):
            own.require()
        visible = await stack.enter_async_context(Visible(own.settings.redis_url, own.settings.pipelines))
        clients = await stack.enter_async_context(Clients(own.settings.api_url, 1, own.environ))
        rig = Rig(size, own, visible, clients)
        if not await _unless(asked, _up(rig)):
            raise CoffeeError("interrupted before anything was measured")
        url = await stack.enter_async_context(noop(free_ports(1)[0]))
        steps = list(_steps(rig, url, picture))
        complete = await _run(steps, rig, say, asked)
        say("waiting until the last orders are visible")
        await visible.reached({pipeline: rig.accepted[pipeline] for pipeline in rig.pipelines}, _V1_WITHIN_S)
        balances = await audit(own.settings, rig.pipelines)
        known = await facts(own.settings)
        result = Result.of(rig, picture, balances, known, complete=complete, seconds=time.monotonic() - started_s)
        say("stopping the stack")
    return result


def _steps(rig: Rig, url: str, picture: FlowPicture) -> Iterator[Step]:
    size, pipelines = rig.size, rig.pipelines
    yield Step("the stack comes to rest", 5, partial(calm, rig))
    for number in range(1, size.rounds + 1):
        label = f"round {number} of {size.rounds}"
        # Each round begins with another pipeline: none of them always comes first after the same one.
        turn = [*pipelines[number % len(pipelines) :], *pipelines[: number % len(pipelines)]]
        yield Step(f"{label}: idle", size.idle_s, partial(idle, rig))
        yield from _ceilings(rig, label)
        yield Step(f"{label}: no-op endpoint", 2 * size.closed_s + 1, partial(closed, rig, "noop", url))
        for each in turn:
            target = f"{rig.settings.api_url}/api/{each}/order"
            yield Step(
                f"{label}: {each}, closed loops",
                2 * size.closed_s + 1.5,
                partial(closed, rig, str(each), target),
            )
        for offered in size.rates:
            for chosen in (*((each,) for each in turn), pipelines):
                yield Step(
                    f"{label}: {', '.join(chosen)} at {offered:,}/s",
                    size.cell_s + 0.5,
                    partial(rate, rig, chosen, offered),
                )
    for each in pipelines:
        yield Step(f"breakpoint of {each}", len(size.ladder) * size.step_s, partial(breakpoint_of, rig, each))
    yield Step("workers killed under load", 2 + size.fault_s * len(pipelines) + 8, partial(kills, rig, picture))
    drain_s = size.preload / 15_000 + size.down_s
    if Pipeline.V2 in pipelines:
        yield Step("v2: its worker down, then draining", drain_s + 1, partial(drain_stream, rig))
        yield Step("v2: two workers down, then draining", drain_s + 3, partial(drain_stream_by_two, rig))
    if Pipeline.V3 in pipelines:
        yield Step("v3: its job down, then draining", drain_s + 12, partial(drain_topic, rig))
        yield Step(
            "bare consume of the topic", 2, partial(ceilings.consume, rig.figures, rig.settings, size.preload)
        )
    yield Step("memory afterwards", 0.5, partial(afterwards, rig))


def _ceilings(rig: Rig, label: str) -> Iterator[Step]:
    figures, settings, for_s = rig.figures, rig.settings, rig.size.closed_s
    fsync = partial(ceilings.fsync, figures, rig.own.home, for_s / 2)
    yield Step(f"{label}: fsync of the disk", for_s / 2, partial(asyncio.to_thread, fsync))
    yield Step(f"{label}: bare XADD", for_s, partial(ceilings.xadd, figures, settings, for_s))
    yield Step(f"{label}: bare bulk INSERT", for_s, partial(ceilings.insert, figures, settings, for_s))
    if Pipeline.V3 in rig.pipelines:
        yield Step(f"{label}: bare Kafka", for_s + 0.3, partial(ceilings.kafka, figures, settings, for_s))


async def _run(steps: Sequence[Step], rig: Rig, say: Say, asked: "asyncio.Task[bool]") -> bool:
    """Run the steps; return whether none was left out."""
    complete = True
    for place, step in enumerate(steps):
        left_s = sum(each.about_s for each in steps[place:]) + _STOP_S
        say(f"{place + 1:>3} of {len(steps)}  {step.name} · about {left_s // 60:.0f}:{left_s % 60:02.0f} left")
        try:
            if not await _unless(asked, step.do()):
                say("ending: what is done is kept")
                rig.notes.append(f"interrupted at {step.name!r}: nothing after it was measured")
                return False
        except CoffeeError as error:
            rig.own.require()
            say(f"{step.name}: {error}")
            rig.notes.append(f"{step.name} could not be measured: {error}")
            await rig.resync()
            complete = False
    return complete


async def _up(rig: Rig) -> None:
    await first_orders(rig)
    await rig.own.until_up()


async def _unless(asked: "asyncio.Task[bool]", work: Coroutine[Any, Any, None]) -> bool:
    """Do some work; return False where we were asked to end before it was done. Raises what it raises."""
    doing = asyncio.create_task(work)
    await asyncio.wait({doing, asked}, return_when=asyncio.FIRST_COMPLETED)
    if doing.done():
        doing.result()
        return True
    while not doing.done():
        # Again and again: a cancellation may get lost in the Redis client.
        doing.cancel()
        await asyncio.wait({doing}, timeout=1)
    return False
