"""Catching up while orders go on coming: how long it takes until a backlog is gone that nobody stopped feeding."""

import asyncio
import math
import time

from backend.lab.bench.harness import Harness
from backend.lab.bench.steps_drain import down
from backend.lab.bench.steps_load import BACKLOG_S, independent
from coffee_core.pipelines import Pipeline
from coffee_core.tasks import end_tasks


async def catch_up(harness: Harness, pipeline: Pipeline, share: int) -> None:
    """Keep the processor of a pipeline down while orders come, at a share in percent of its breakpoint.

    They go on coming when it is let go. Measures until it is level: no more waits than the orders of 0.25 s.
    """
    size, most = harness.size, harness.figures.middle(f"{pipeline}.breakpoint")
    if not most:
        harness.notes.append(f"{pipeline}: catching up was not measured: no rate was found that it keeps up with")
        return
    rate_per_s = most * share / 100
    await harness.settle([pipeline])
    async with down(harness, pipeline):
        whole_s = size.backlog_s + size.catch_up_within_s
        load = harness.load(f"catch_up.{share}", [pipeline], independent(rate_per_s), whole_s)
        loading = asyncio.create_task(load)
        try:
            await asyncio.sleep(size.backlog_s)
        except asyncio.CancelledError:
            await end_tasks(loading)
            raise
    let_go_s = time.monotonic()
    (loaded,) = await loading
    history = harness.watcher.histories[pipeline]
    level_s = history.level_s(loaded.base, sorted(loaded.sample.intended), let_go_s, int(BACKLOG_S * rate_per_s))
    if math.isinf(level_s) or level_s > loaded.start_s + loaded.for_s:
        after = f"{size.catch_up_within_s:g} s after a standstill of {size.backlog_s:g} s"
        harness.notes.append(f"{pipeline}: at {share} % of its breakpoint it was not level {after}")
        return
    harness.figures.add(f"{pipeline}.catch_up.{share}", level_s - let_go_s, "s")
