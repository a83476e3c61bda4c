"""The bench from beginning to end: every step in turn, rounds interleaved, what is done is kept."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from aiohttp import ClientError
from aiokafka.errors import KafkaError

from backend.daemon import OUTAGES
from backend.lab.audit import audit
from backend.lab.bench.clients import Clients
from backend.lab.bench.facts import facts
from backend.lab.bench.figures import HIGHER, Figures
from backend.lab.bench.own_stack import OwnStack
from backend.lab.bench.result import Result
from backend.lab.bench.rig import Rig
from backend.lab.bench.size import Size
from backend.lab.bench.steadiness import unsteadiness
from backend.lab.bench.steps import Step, all_steps
from backend.lab.bench.steps_fault import FlowPicture, drain_topic
from backend.lab.bench.steps_idle import first_orders
from backend.lab.bench.steps_load import yardsticks
from backend.lab.bench.visible import Visible
from backend.stack.polling import poll
from backend.stack.ports import is_free
from coffee_core.errors import CoffeeError
from coffee_core.pipelines import Pipeline

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
    if size.two_slots and complete and Pipeline.V3 in pipelines:
        try:
            result.complete = await _two_slots(size, beside, result.figures, say, asked)
        except CoffeeError as error:
            result.complete = False
            result.notes.append(f"v3 with two slots could not be measured: {error}")
    result.seconds = time.monotonic() - started_s
    return result


async def _two_slots(size: Size, beside: Path, figures: Figures, say: Say, asked: "asyncio.Task[bool]") -> bool:
    """Measure the drain of v3 once more with two slots, on a stack of its own; return whether it was measured."""
    own = OwnStack(beside, (Pipeline.V3,), {"COFFEE_FLINK_PARALLELISM": "2"})
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
