"""Steps of the bench that put load on the pipelines: rates, closed loops, the search for the breakpoint."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import product
from typing import Any

from backend.lab.bench.figures import HIGHER
from backend.lab.bench.harness import MILLION, QUANTILES, Rig
from backend.lab.bench.load_run import Measured
from backend.lab.bench.own_stack import free_ports
from backend.lab.bench.usage import Kept, Usage, kept, usage
from backend.stack.polling import poll
from backend.stack.ports import is_free
from coffee_core.errors import CoffeeError
from coffee_core.load.schedule import Pattern, Shape
from coffee_core.parent_death_signal import dies_with_parent
from coffee_core.pipelines import Pipeline, pipeline_named
from coffee_core.pipelines.constants import V1

BOUND_US = 100_000
"""A pipeline keeps up while the p99 of its answers, and of what it shows at once, stay below this."""
_BACKLOG_S = 0.25
_SERVED_WITHIN_S = 20.0
_YARDSTICKS = {"noop": "backend.lab.bench.noop", "starlette": "backend.lab.bench.textbook"}
MANY = 32
"""Clients of the closed loop that asks how much there is."""


def independent(rate_per_s: float) -> Shape:
    """Return arrivals of customers who know nothing of one another: Poisson's, which see the average of any clock.

    At a constant gap each order would meet v3's mini-batch, every 5 ms, at the same point of it, by luck a good or
    a bad one (R. W. Wolff, Poisson Arrivals See Time Averages, Operations Research 30, 1982).
    """
    return Shape(rate_per_s, Pattern.POISSON)


async def rate(rig: Rig, pipelines: Sequence[Pipeline], rate_per_s: int) -> None:
    """Measure one rate into one pipeline alone, or into several together; alone at the highest, its cost, too."""
    alone = len(pipelines) == 1
    name = f"{'alone' if alone else 'together'}.{rate_per_s}"
    costly = alone and rate_per_s == max(rig.size.rates)
    before = await _spent(rig, pipelines[0]) if costly else None
    for_s = rig.size.cell_s_at(rate_per_s) if alone else rig.size.cell_s
    cells = await rig.load(name, pipelines, independent(rate_per_s), for_s)
    rig.cells += cells
    if before is not None and (orders := len(cells[0].sample.intended)):
        _note_cost(rig, pipelines[0], orders, before, await _spent(rig, pipelines[0]))


async def _spent(rig: Rig, pipeline: Pipeline) -> tuple[Usage, Kept]:
    return await usage(rig.own.home), await kept(rig.settings, pipeline)


def _note_cost(
    rig: Rig, pipeline: Pipeline, orders: int, before: tuple[Usage, Kept], after: tuple[Usage, Kept]
) -> None:
    (used, left), (more_used, more_left) = before, after
    cpu_s = more_used.cpu_s_for(pipeline) - used.cpu_s_for(pipeline)
    rig.figures.add(f"{pipeline}.cost.cpu", cpu_s / orders * MILLION, "s per million")
    grown = {
        "disk": more_left.disk_bytes - left.disk_bytes,
        "logged": more_left.logged_bytes - left.logged_bytes,
        "redis": more_left.redis_bytes - left.redis_bytes,
    }
    for name, value in grown.items():
        # A rewritten append-only file is shorter than before: that cell tells nothing.
        if value >= 0:
            rig.figures.add(f"{pipeline}.cost.{name}", value / orders * MILLION, "bytes per million")


async def closed(rig: Rig, target: str, url: str) -> None:
    """Measure an endpoint by closed loops: one client, then many."""
    for clients in (1, MANY):
        result = await _closed(rig, url, clients)
        if target in set(rig.pipelines):
            rig.accepted[pipeline_named(target)] += result["taken"]
        if result["failed"]:
            rig.notes.append(
                f"{target}: {result['failed']:,} requests of {clients} clients in a closed loop failed"
            )
        name = f"{target}.closed.{clients}"
        for quantile in ("p50", "p99"):
            rig.figures.add(f"{name}.{quantile}", result[quantile], "µs")
        rig.figures.add(f"{name}.rate", result["per_s"], "/s", HIGHER)
    await rig.settle([each for each in rig.pipelines if each != V1])


async def _closed(rig: Rig, url: str, clients: int) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "backend.lab.bench.closed_loop", url, str(clients), str(rig.size.closed_s)),
        *rig.settings.authorization.values(),
        stdout=asyncio.subprocess.PIPE,
        preexec_fn=dies_with_parent(),
    )
    said, _ = await process.communicate()
    if process.returncode != 0:
        raise CoffeeError(f"the closed loop on {url} ended with exit code {process.returncode}")
    result: dict[str, Any] = json.loads(said)
    return result


@asynccontextmanager
async def yardsticks() -> AsyncIterator[dict[str, str]]:
    """Serve the endpoints without a pipeline for the length of the block; yield the URL of each by its name."""
    async with AsyncExitStack() as serving:
        pairs = zip(_YARDSTICKS, free_ports(len(_YARDSTICKS)), strict=True)
        yield {name: await serving.enter_async_context(_served(_YARDSTICKS[name], port)) for name, port in pairs}


@asynccontextmanager
async def _served(module: str, port: int) -> AsyncIterator[str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, str(port)), preexec_fn=dies_with_parent()
    )
    try:
        if not await poll(lambda: not is_free(port), 0.05, _SERVED_WITHIN_S):
            raise CoffeeError(f"{module} does not come up on port {port}")
        yield f"http://127.0.0.1:{port}/order"
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def breakpoint_of(rig: Rig, pipeline: Pipeline) -> None:
    """Raise the offered rate until the pipeline does not keep up any more; note the last good rate."""
    good = 0.0
    for offered in rig.size.ladder:
        # Twice: one stall of this machine is no breakpoint.
        if why := (await _step(rig, pipeline, offered) and await _step(rig, pipeline, offered)):
            rig.notes.append(f"{pipeline}: {offered:,} orders/s are too many, twice: {why}")
            break
        good = offered
    else:
        rig.notes.append(f"{pipeline}: its breakpoint lies above {good:,.0f} orders/s, the highest rate tried")
    rig.figures.add(f"{pipeline}.breakpoint", good, "/s", HIGHER)


async def _step(rig: Rig, pipeline: Pipeline, offered: int) -> str:
    """Try a rate; return why the pipeline does not keep up with it, empty where it does."""
    (cell,) = await rig.load(f"ladder.{offered}", [pipeline], independent(offered), rig.size.step_s_at(offered))
    measured = rig.measured(cell)
    kinds = ("api",) if pipeline == V1 else ("api", "dashboard")
    for kind, quantile in product(kinds, QUANTILES):
        late_us = getattr(getattr(measured, kind), quantile)
        rig.figures.add(f"{pipeline}.ladder.{offered}.{kind}.{quantile}", late_us, "µs")
    return _overload(pipeline, measured, _backlog(rig, pipeline, cell.start_s + cell.for_s))


def _backlog(rig: Rig, pipeline: Pipeline, end_s: float) -> int:
    """Return how many orders were accepted and not visible when the last was offered."""
    return rig.accepted[pipeline] - rig.visible.flows[pipeline].total_at(end_s)


def _overload(pipeline: Pipeline, measured: Measured, backlog: int) -> str:
    """Return why a pipeline does not keep up; empty where it does."""
    late_us = measured.api.p99 or 0
    if pipeline != V1:
        late_us = max(late_us, measured.dashboard.p99 or 0)
    checks = (
        (not measured.valid, "the load generator itself could not keep its schedule: the machine is full"),
        (measured.failed > 0, f"{measured.failed:,} requests refused or without an answer"),
        (late_us >= BOUND_US, f"p99 {late_us / 1e3:,.0f} ms, the bound is {BOUND_US / 1e3:g} ms"),
        (
            pipeline != V1 and backlog > _BACKLOG_S * measured.offered_per_s,
            f"a backlog of {backlog:,} orders when the last was offered",
        ),
    )
    return next((words for wrong, words in checks if wrong), "")
