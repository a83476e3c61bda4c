"""Steps of the bench without load: the first orders of a fresh stack, and what it uses when nobody orders."""

import asyncio
import time
from functools import partial
from pathlib import Path

from backend.lab.bench.harness import Harness
from backend.lab.bench.steps_drain import runs_on_flink
from backend.lab.bench.usage import usage
from backend.stack.polling import poll
from coffee_core.errors import StackError
from coffee_core.load.orders import OrderMix, RandomOrders
from coffee_core.load.sender import Sender
from coffee_core.load.statistics import Outcome
from coffee_core.pipelines import Pipeline, is_part
from coffee_core.runstate import NEXT_START_PLANNED, STANDBY_WARM, read_states

_FIRST_WITHIN_S = 300.0
_RETRY_EVERY_S = 0.05
_PREPARED_WITHIN_S = 60.0
_REST_CHECKS = 15
"""One-second checks before the step gives up."""
_REST_CPU_S = 0.5
"""Processor seconds per second below which the stack is at rest."""


async def first_orders(harness: Harness) -> None:
    """Send an order into each pipeline as soon as it is taken; note when it was, and when it was visible."""
    mix = RandomOrders(OrderMix(repeats=0, malformed=0, keyless=1))
    async with Sender(harness.settings.api_url, authorization=harness.settings.authorization) as sender:
        await asyncio.gather(*(_first(harness, sender, mix, pipeline) for pipeline in harness.pipelines))


async def _first(harness: Harness, sender: Sender, mix: RandomOrders, pipeline: Pipeline) -> None:
    deadline = time.monotonic() + _FIRST_WITHIN_S
    while (answer := await sender.send(mix.next(pipeline))).outcome is not Outcome.ACKNOWLEDGED:
        harness.stack.require()
        if time.monotonic() > deadline:
            raise StackError(f"{pipeline} takes no order {_FIRST_WITHIN_S:g} s after the start: {answer.reason}")
        await asyncio.sleep(_RETRY_EVERY_S)
    harness.figures.add(f"{pipeline}.first.accepted", time.monotonic() - harness.stack.started_s, "s")
    harness.accepted[pipeline] += 1
    if await harness.watcher.reached({pipeline: 1}, _FIRST_WITHIN_S):
        shown_s = harness.watcher.histories[pipeline].first_s(1)
        harness.figures.add(f"{pipeline}.first.visible", shown_s - harness.stack.started_s, "s")


async def wait_for_rest(harness: Harness, coming: str = "the first round") -> None:
    """Wait until the stack is at rest: after a start it prepares what a failure of Flink will need.

    A note says so where it is not before what comes next.
    """
    on_flink = [pipeline for pipeline in harness.pipelines if runs_on_flink(pipeline)]
    if on_flink and not await poll(partial(_prepared, harness.stack.home), 1, _PREPARED_WITHIN_S):
        names = ", ".join(on_flink)
        harness.notes.append(f"{names} was still preparing for a failure of Flink before {coming}")
    for _ in range(_REST_CHECKS):
        before = await usage(harness.stack.home)
        await asyncio.sleep(1)
        if (await usage(harness.stack.home)).cpu_s - before.cpu_s < _REST_CPU_S:
            return
    harness.notes.append(f"the stack had not come to rest before {coming}")


def _prepared(home: Path) -> bool:
    """Tell whether the spare TaskManager is warm, and the job's next start planned."""
    return {STANDBY_WARM, NEXT_START_PLANNED} <= {part.detail for part in read_states(home)}


async def measure_memory_before(harness: Harness) -> None:
    """Measure the memory before all else: of the whole stack, of each pipeline's parts, of those only it has."""
    used = await usage(harness.stack.home)
    harness.figures.add("idle.memory", used.memory_bytes, "bytes")
    for pipeline in harness.pipelines:
        own = [memory for part, memory in used.memory_of.items() if is_part(part, pipeline.info.cost_parts)]
        harness.figures.add(f"{pipeline}.own.memory", sum(own), "bytes")
        harness.figures.add(f"{pipeline}.own.parts", len(own), "parts")
        others = tuple(part for other in harness.pipelines if other != pipeline for part in other.info.cost_parts)
        added = [
            memory
            for part, memory in used.memory_of.items()
            if is_part(part, pipeline.info.cost_parts) and not is_part(part, others)
        ]
        harness.figures.add(f"{pipeline}.added.memory", sum(added), "bytes")


async def measure_idle_cpu(harness: Harness) -> None:
    """Measure the processor time of the stack while nobody sends orders."""
    before = await usage(harness.stack.home)
    await asyncio.sleep(harness.size.idle_s)
    after = await usage(harness.stack.home)
    harness.figures.add("idle.cpu", (after.cpu_s - before.cpu_s) / harness.size.idle_s, "s per second")


async def measure_memory_after(harness: Harness) -> None:
    """Measure the memory of the stack after all other steps."""
    harness.figures.add("after.memory", (await usage(harness.stack.home)).memory_bytes, "bytes")
