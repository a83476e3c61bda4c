"""The bench from beginning to end: every step in turn, rounds interleaved, what is done is kept."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from aiohttp import ClientError
from aiokafka.errors import KafkaError

from backend.clients.daemon import OUTAGES
from backend.lab.bench import ceilings
from backend.lab.bench.figures import HIGHER, Figures
from backend.lab.bench.harness import Rig
from backend.lab.bench.load_clients import Clients
from backend.lab.bench.own_stack import OwnStack
from backend.lab.bench.result import Result
from backend.lab.bench.size import Size
from backend.lab.bench.steps_faults import FlowPicture, drain_stream, drain_stream_by_two, drain_topic, kills, warm
from backend.lab.bench.steps_idle import afterwards, beforehand, calm, first_orders, idle
from backend.lab.bench.steps_load import breakpoint_of, closed, rate, yardsticks
from backend.lab.bench.steps_table import big_table
from backend.lab.bench.usage import facts
from backend.lab.bench.visibility import Visible
from backend.pipelines.audit import audit
from backend.stack.polling import poll
from backend.stack.ports import is_free
from coffee_core.errors import CoffeeError
from coffee_core.pipelines import Pipeline
from coffee_core.pipelines.constants import V1, V2, V3

# Whether the machine was equally fast all the time, by what does nothing of ours: the no-op endpoint.


YARDSTICK = "noop.closed.32.rate"
_STEADY = 1.25
"""Highest rate over the lowest at which a machine still counts as steady."""


def unsteadiness(figures: Figures) -> list[str]:
    """Return, as notes of a report, what there is to say of it: nothing of a steady machine."""
    figure = figures.get(YARDSTICK)
    if figure is None or figure.high <= _STEADY * figure.low:
        return []
    course = ", ".join(f"{each:,.0f}" for each in figure.values)
    note = (
        "the machine was not equally fast all the time: the no-op endpoint gave, round by round and at the end, "
        f"{course} answers/s; what is measured once (breakpoints, drains, kills) met it as it was then"
    )
    return [note]


# All steps of a run, in their order: rounds that interleave the pipelines, then what is measured once.


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that is measured."""

    name: str
    about_s: float
    """How long it is likely to take."""
    do: Callable[[], Coroutine[Any, Any, None]]


def all_steps(rig: Rig, urls: dict[str, str], picture: FlowPicture) -> Iterator[Step]:
    """Yield the steps in their order; ``urls`` are those of the endpoints without a pipeline, by their names."""
    size, pipelines = rig.size, rig.pipelines
    yield Step("warming up", 8, partial(warm, rig))
    yield Step("the stack comes to rest", 20, partial(calm, rig))
    yield Step("memory beforehand", 0.5, partial(beforehand, rig))
    for number in range(1, size.rounds + 1):
        label = f"round {number} of {size.rounds}"
        # Each round begins with another pipeline: none of them always comes first after the same one.
        turn = [*pipelines[number % len(pipelines) :], *pipelines[: number % len(pipelines)]]
        yield Step(f"{label}: idle", size.idle_s, partial(idle, rig))
        yield from _ceilings(rig, label)
        orders = {str(each): f"{rig.settings.api_url}/api/{each}/order" for each in turn}
        for target, url in (urls | orders).items():
            yield Step(
                f"{label}: {target}, closed loops", 2 * size.closed_s + 1.5, partial(closed, rig, target, url)
            )
        for offered in size.rates:
            for chosen in (*((each,) for each in turn), pipelines):
                yield Step(
                    f"{label}: {', '.join(chosen)} at {offered:,}/s",
                    (size.cell_s_at(offered) if len(chosen) == 1 else size.cell_s) + 0.5,
                    partial(rate, rig, chosen, offered),
                )
    for each in pipelines:
        yield Step(
            f"breakpoint of {each}", sum(map(size.step_s_at, size.ladder)), partial(breakpoint_of, rig, each)
        )
    yield from _drains(rig)
    yield Step("workers killed under load", 2 + size.fault_s * len(pipelines) + 8, partial(kills, rig, picture))
    if V1 in pipelines:
        table_s = size.table_rows / 50_000 + 2 * size.table_rounds * size.cell_s
        yield Step(f"v1 with {size.table_rows:,} rows more", table_s, partial(big_table, rig))
    yield Step("memory afterwards", 0.5, partial(afterwards, rig))
    # Once more: whether the machine is still as fast as it was in the rounds.
    yield Step("noop, closed loops", 2 * size.closed_s + 1.5, partial(closed, rig, "noop", urls["noop"]))


def _drains(rig: Rig) -> Iterator[Step]:
    size, pipelines = rig.size, rig.pipelines
    drain_s = size.preload / 15_000 + size.down_s
    for _ in range(size.drains):
        if V2 in pipelines:
            yield Step("v2: its worker down, then draining", drain_s + 1, partial(drain_stream, rig))
            yield Step("v2: two workers down, then draining", drain_s + 3, partial(drain_stream_by_two, rig))
        if V3 in pipelines:
            yield Step("v3: its job down, then draining", drain_s + 12, partial(drain_topic, rig))
    if V3 in pipelines:
        yield Step(
            "bare consume of the topic", 2, partial(ceilings.consume, rig.figures, rig.settings, size.preload)
        )


def _ceilings(rig: Rig, label: str) -> Iterator[Step]:
    figures, settings, for_s = rig.figures, rig.settings, rig.size.closed_s
    fsync = partial(ceilings.fsync, figures, rig.own.home, for_s)
    yield Step(f"{label}: fsync of the disk", for_s * 1.5, partial(asyncio.to_thread, fsync))
    yield Step(f"{label}: bare XADD", for_s, partial(ceilings.xadd, figures, settings, for_s))
    yield Step(f"{label}: bare bulk INSERT", for_s, partial(ceilings.insert, figures, settings, for_s))
    if V3 in rig.pipelines:
        yield Step(f"{label}: bare Kafka", for_s + 0.3, partial(ceilings.kafka, figures, settings, for_s))


_STOP_S = 5.0
_V1_WITHIN_S = 15.0
_REDIS_WITHIN_S = 60.0
_TROUBLE = (CoffeeError, *OUTAGES, KafkaError, ClientError)
"""What one step may meet without an end of all others."""
Say = Callable[[str], None]


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
    async with _rig(size, OwnStack(beside, pipelines), say, asked) as rig, yardsticks() as urls:
        complete = await _run(list(all_steps(rig, urls, picture)), rig, say, asked)
        say("waiting until the last orders are visible")
        await rig.visible.reached({each: rig.accepted[each] for each in rig.pipelines}, _V1_WITHIN_S)
        balances = await audit(rig.settings, rig.pipelines)
        known = await facts(rig.settings)
        rig.notes += unsteadiness(rig.figures)
        result = Result.of(rig, picture, balances, known, complete=complete, seconds=0)
        say("stopping the stack")
    if size.two_slots and complete and V3 in pipelines:
        try:
            result.complete = await _two_slots(size, beside, result.figures, say, asked)
        except CoffeeError as error:
            result.complete = False
            result.notes.append(f"v3 with two slots could not be measured: {error}")
    result.seconds = time.monotonic() - started_s
    return result


async def _two_slots(size: Size, beside: Path, figures: Figures, say: Say, asked: "asyncio.Task[bool]") -> bool:
    """Measure the drain of v3 once more with two slots, on a stack of its own; return whether it was measured."""
    own = OwnStack(beside, (V3,), {"COFFEE_FLINK_PARALLELISM": "2"})
    async with _rig(size, own, say, asked) as rig:
        steps = [Step("v3 with two slots: its job down, then draining", 90, partial(drain_topic, rig))] * 2
        complete = await _run(steps, rig, say, asked)
    # The second of two: the first warms up what a stack in use has warm.
    if drained := rig.figures.get("v3.drain.rate"):
        figures.add("v3.drain2.rate", drained.values[-1], "/s", HIGHER)
    return complete


@asynccontextmanager
async def _rig(size: Size, own: OwnStack, say: Say, asked: "asyncio.Task[bool]") -> AsyncIterator[Rig]:
    """Start a stack and all that measures it. Raises CoffeeError where we are asked to end before it is up."""
    async with own:
        say(f"a stack of the bench's own starts in {own.home}: your own data is not touched")
        if not await poll(lambda: not is_free(own.settings.redis_port), 0.02, _REDIS_WITHIN_S):
            own.require()
        async with (
            Visible(own.settings.redis_url, own.settings.pipelines) as visible,
            Clients(own.settings.api_url, 1, own.environ) as clients,
        ):
            rig = Rig(size, own, visible, clients)
            if not await _unless(asked, _up(rig)):
                raise CoffeeError("interrupted before anything was measured")
            yield rig


async def _run(steps: Sequence[Step], rig: Rig, say: Say, asked: "asyncio.Task[bool]") -> bool:
    """Run the steps; return whether none was left out."""
    complete = True
    for place, step in enumerate(steps):
        minutes, seconds = divmod(round(sum(each.about_s for each in steps[place:]) + _STOP_S), 60)
        say(f"{place + 1:>3} of {len(steps)}  {step.name} · about {minutes}:{seconds:02} left")
        try:
            if not await _unless(asked, step.do()):
                say("ending: what is done is kept")
                rig.notes.append(f"interrupted at {step.name!r}: nothing after it was measured")
                return False
        except _TROUBLE as error:
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
