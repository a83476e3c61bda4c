"""Steps of the bench without load: the first orders of a fresh stack, and what it uses when nobody orders."""

import asyncio
import time
from functools import partial
from pathlib import Path

from backend.lab.bench.harness import Rig
from backend.lab.bench.usage import ONLY, usage
from backend.stack.polling import poll
from coffee_core.errors import StackError
from coffee_core.load.orders import OrderMix, RandomOrders
from coffee_core.load.sender import Sender
from coffee_core.load.statistics import Outcome
from coffee_core.pipelines import Pipeline
from coffee_core.pipelines.constants import V3
from coffee_core.runstate import read_states

_FIRST_WITHIN_S = 300.0
_AGAIN_S = 0.05
_PREPARED_WITHIN_S = 60.0
_CALM_LOOKS, _CALM_CPU_S = 15, 0.5


async def first_orders(rig: Rig) -> None:
    """Send an order into each pipeline as soon as it is taken; note when it was, and when it was visible."""
    mix = RandomOrders(OrderMix(repeats=0, malformed=0, keyless=1))
    async with Sender(rig.settings.api_url, authorization=rig.settings.authorization) as sender:
        await asyncio.gather(*(_first(rig, sender, mix, pipeline) for pipeline in rig.pipelines))


async def _first(rig: Rig, sender: Sender, mix: RandomOrders, pipeline: Pipeline) -> None:
    deadline = time.monotonic() + _FIRST_WITHIN_S
    while (answer := await sender.send(mix.next(pipeline))).outcome is not Outcome.ACKNOWLEDGED:
        rig.own.require()
        if time.monotonic() > deadline:
            raise StackError(f"{pipeline} takes no order {_FIRST_WITHIN_S:g} s after the start: {answer.reason}")
        await asyncio.sleep(_AGAIN_S)
    rig.figures.add(f"{pipeline}.first.accepted", time.monotonic() - rig.own.started_s, "s")
    rig.accepted[pipeline] += 1
    if await rig.visible.reached({pipeline: 1}, _FIRST_WITHIN_S):
        shown_s = rig.visible.flows[pipeline].first_s(1)
        rig.figures.add(f"{pipeline}.first.visible", shown_s - rig.own.started_s, "s")


async def calm(rig: Rig) -> None:
    """Wait until the stack has come to rest: after its start it prepares what a failure of Flink will need."""
    if V3 in rig.pipelines and not await poll(partial(_prepared, rig.own.home), 1, _PREPARED_WITHIN_S):
        rig.notes.append("v3 was still preparing for a failure of Flink when the first round began")
    for _ in range(_CALM_LOOKS):
        before = await usage(rig.own.home)
        await asyncio.sleep(1)
        if (await usage(rig.own.home)).cpu_s - before.cpu_s < _CALM_CPU_S:
            return
    rig.notes.append("the stack had not come to rest when the first round began")


def _prepared(home: Path) -> bool:
    """Tell whether the spare TaskManager is warm, and the job's next start planned."""
    return {"spare, warm", "next start planned"} <= {part.detail for part in read_states(home)}


async def beforehand(rig: Rig) -> None:
    """Look at the memory before anything is measured: of all, and of what each pipeline alone needs."""
    used = await usage(rig.own.home)
    rig.figures.add("idle.memory", used.memory_bytes, "bytes")
    for pipeline in rig.pipelines:
        own = [memory for part, memory in used.memory_of.items() if part.startswith(ONLY[pipeline])]
        rig.figures.add(f"{pipeline}.own.memory", sum(own), "bytes")
        rig.figures.add(f"{pipeline}.own.parts", len(own), "parts")


async def idle(rig: Rig) -> None:
    """Look at the processor while nobody orders anything."""
    before = await usage(rig.own.home)
    await asyncio.sleep(rig.size.idle_s)
    after = await usage(rig.own.home)
    rig.figures.add("idle.cpu", (after.cpu_s - before.cpu_s) / rig.size.idle_s, "s per second")


async def afterwards(rig: Rig) -> None:
    """Look at the memory once everything was done."""
    rig.figures.add("after.memory", (await usage(rig.own.home)).memory_bytes, "bytes")
