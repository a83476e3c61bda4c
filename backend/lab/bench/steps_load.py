"""Steps of the bench that put load on the pipelines: rates, closed loops, the search for the breakpoint."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import product
from typing import Any

from backend.lab.bench.bench_stack import free_ports
from backend.lab.bench.figures import QUANTILES, Better
from backend.lab.bench.harness import MILLION, Harness, NotSettledError, live
from backend.lab.bench.load_run import Measured
from backend.lab.bench.steps_drain import can_drain, fill
from backend.lab.bench.usage import Kept, Usage, kept, usage
from backend.stack.polling import poll
from backend.stack.ports import is_free
from coffee_core.children import child_environ, python_module
from coffee_core.errors import CoffeeError
from coffee_core.load.schedule import Pattern, Shape
from coffee_core.parent_death_signal import dies_with_parent
from coffee_core.pipelines import Pipeline, pipeline_named

_BASELINES = ("noop", "starlette")
"""Endpoints of ``baseline_apps``; their names begin those of their figures."""
BOUND_US = 100_000
"""A pipeline keeps up while the p99 of its answers, and of what it shows at once, stay below this."""
BACKLOG_S = 0.25
"""A pipeline is level while no more waits than is offered in so many seconds."""
_SERVED_WITHIN_S = 20.0
_WARM_PER_S = 250.0
MANY = 32
"""Clients of the closed loop that asks how much there is."""


def independent(rate_per_s: float) -> Shape:
    """Return arrivals of customers who know nothing of one another: Poisson's, which see the average of any clock.

    At a constant gap each order would meet v3's mini-batch, every 5 ms, at the same point of it, by luck a good or
    a bad one (R. W. Wolff, Poisson Arrivals See Time Averages, Operations Research 30, 1982).
    """
    return Shape(rate_per_s, Pattern.POISSON)


async def warm(harness: Harness) -> None:
    """Let every pipeline take orders before anything is measured: a JVM is slow at first, as is a new table.

    First one by one, as they come in a day: what a backlog warms is another way through Flink. At 500/s the p99 of
    v3 was 160 to 360 ms after ten seconds of it, 25 to 50 ms after forty, 26 ms after two minutes; and while its
    JVM compiles, the others wait for a processor.
    """
    await harness.load("warm", harness.pipelines, Shape(_WARM_PER_S), harness.size.warm_s)
    for pipeline in filter(can_drain, harness.pipelines):
        await fill(harness.settings, pipeline, harness.size.warm_orders)
        harness.accepted[pipeline] += harness.size.warm_orders
    await harness.settle(live(harness.pipelines))


async def rate(harness: Harness, pipelines: Sequence[Pipeline], rate_per_s: int) -> None:
    """Measure one rate into one pipeline alone, with its processor time, or into several together.

    At the highest also what else the orders of one alone cost.
    """
    alone = len(pipelines) == 1
    name = f"{'alone' if alone else 'together'}.{rate_per_s}"
    before = await _spent(harness, pipelines[0]) if alone else None
    for_s = harness.size.load_s_at(rate_per_s) if alone else harness.size.load_s
    loads = await harness.load(name, pipelines, independent(rate_per_s), for_s)
    harness.pending += loads
    if before is not None and (orders := len(loads[0].sample.intended)):
        after = await _spent(harness, pipelines[0])
        cpu_s = after[0].cpu_s_for(pipelines[0]) - before[0].cpu_s_for(pipelines[0])
        harness.figures.add(f"{pipelines[0]}.{name}.cpu", cpu_s / orders * MILLION, "s per million")
        if rate_per_s == max(harness.size.rates):
            _note_cost(harness, pipelines[0], orders, cpu_s, before[1], after[1])


async def _spent(harness: Harness, pipeline: Pipeline) -> tuple[Usage, Kept]:
    return await usage(harness.stack.home), await kept(harness.settings, pipeline)


def _note_cost(
    harness: Harness, pipeline: Pipeline, orders: int, cpu_s: float, left: Kept, more_left: Kept
) -> None:
    harness.figures.add(f"{pipeline}.cost.cpu", cpu_s / orders * MILLION, "s per million")
    grown = {
        "disk": more_left.disk_bytes - left.disk_bytes,
        "logged": more_left.logged_bytes - left.logged_bytes,
        "redis": more_left.redis_bytes - left.redis_bytes,
    }
    for name, value in grown.items():
        # A rewritten append-only file is shorter than before: its difference means nothing.
        if value >= 0:
            harness.figures.add(f"{pipeline}.cost.{name}", value / orders * MILLION, "bytes per million")


async def closed(harness: Harness, target: str, url: str) -> None:
    """Measure an endpoint by closed loops: one client, then many."""
    for clients in (1, MANY):
        result = await _closed(harness, url, clients)
        if target in set(harness.pipelines):
            harness.accepted[pipeline_named(target)] += result["taken"]
        if result["failed"]:
            harness.notes.append(
                f"{target}: {result['failed']:,} requests of {clients} clients in a closed loop failed"
            )
        name = f"{target}.closed.{clients}"
        for quantile in QUANTILES:
            harness.figures.add(f"{name}.{quantile}", result[quantile], "µs")
        harness.figures.add(f"{name}.rate", result["per_s"], "/s", Better.HIGHER)
    await harness.settle(live(harness.pipelines))


async def _closed(harness: Harness, url: str, clients: int) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        *python_module("backend.lab.bench.closed_loop", url, str(clients), str(harness.size.closed_s)),
        *harness.settings.authorization.values(),
        env=child_environ(),
        stdout=asyncio.subprocess.PIPE,
        preexec_fn=dies_with_parent(),
    )
    output, _ = await process.communicate()
    if process.returncode != 0:
        raise CoffeeError(f"the closed loop on {url} ended with exit code {process.returncode}")
    result: dict[str, Any] = json.loads(output)
    return result


@asynccontextmanager
async def baselines() -> AsyncIterator[dict[str, str]]:
    """Serve the endpoints without a pipeline for the length of the block; yield the URL of each by its name."""
    async with AsyncExitStack() as serving:
        pairs = zip(_BASELINES, free_ports(len(_BASELINES)), strict=True)
        yield {name: await serving.enter_async_context(_served(name, port)) for name, port in pairs}


@asynccontextmanager
async def _served(name: str, port: int) -> AsyncIterator[str]:
    command = python_module("backend.lab.bench.baseline_apps", name, str(port))
    process = await asyncio.create_subprocess_exec(*command, env=child_environ(), preexec_fn=dies_with_parent())
    try:
        if not await poll(lambda: not is_free(port), 0.05, _SERVED_WITHIN_S):
            raise CoffeeError(f"the endpoint {name!r} does not come up on port {port}")
        yield f"http://127.0.0.1:{port}/order"
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def breakpoint_of(harness: Harness, pipeline: Pipeline) -> None:
    """Raise the offered rate until the pipeline does not keep up any more; note the last good rate."""
    good, before = 0.0, ""
    for offered in harness.size.ladder:
        # Twice, and then the next one: a machine that others use, too, may stall for seconds: no breakpoint.
        why = await _try(harness, pipeline, offered) and await _try(harness, pipeline, offered)
        if why and before:
            break
        if why:
            before = f"{pipeline}: {offered:,} orders/s are too many, twice: {why}"
            continue
        if before:
            harness.notes.append(f"{before}; and then {offered:,} were not")
        good, before = offered, ""
    harness.notes.append(
        before or f"{pipeline}: its breakpoint lies above {good:,.0f} orders/s, the highest rate tried"
    )
    harness.figures.add(f"{pipeline}.breakpoint", good, "/s", Better.HIGHER)


async def _try(harness: Harness, pipeline: Pipeline, offered: int) -> str:
    """Try a rate; return why the pipeline does not keep up with it, empty where it does."""
    try:
        return await _step(harness, pipeline, offered)
    except NotSettledError as error:
        await harness.resync()
        return str(error)


async def _step(harness: Harness, pipeline: Pipeline, offered: int) -> str:
    """Try a rate, as above. Raises NotSettledError where what was accepted is not shown in time."""
    (load,) = await harness.load(
        f"ladder.{offered}", [pipeline], independent(offered), harness.size.step_s_at(offered)
    )
    measured = harness.measured(load)
    kinds = ("api",) if pipeline.info.shown_in_runs else ("api", "dashboard")
    # What a generator measured that was late itself is not the pipeline's.
    for kind, quantile in product(kinds, QUANTILES) if measured.valid else ():
        late_us = getattr(getattr(measured, kind), quantile)
        harness.figures.add(f"{pipeline}.ladder.{offered}.{kind}.{quantile}", late_us, "µs")
    return _overload(pipeline, measured, _backlog(harness, pipeline, load.start_s + load.for_s))


def _backlog(harness: Harness, pipeline: Pipeline, end_s: float) -> int:
    """Return how many orders were accepted and not visible when the last was offered."""
    return harness.accepted[pipeline] - harness.watcher.histories[pipeline].total_at(end_s)


def _overload(pipeline: Pipeline, measured: Measured, backlog: int) -> str:
    """Return why a pipeline does not keep up; empty where it does."""
    late_us = measured.api.p99 or 0
    if not pipeline.info.shown_in_runs:
        late_us = max(late_us, measured.dashboard.p99 or 0)
    checks = (
        (not measured.valid, "the load generator itself could not keep its schedule: the machine is full"),
        (measured.failed > 0, f"{measured.failed:,} requests refused or without an answer"),
        (late_us >= BOUND_US, f"p99 {late_us / 1e3:,.0f} ms, the bound is {BOUND_US / 1e3:g} ms"),
        (
            not pipeline.info.shown_in_runs and backlog > BACKLOG_S * measured.offered_per_s,
            f"a backlog of {backlog:,} orders when the last was offered",
        ),
    )
    return next((words for wrong, words in checks if wrong), "")
