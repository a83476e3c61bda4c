"""Kills the processor of each pipeline under load, and measures for how long its dashboard stands still."""

import asyncio
import os
import signal
import time
from dataclasses import dataclass, field

from backend.lab.bench.harness import Harness, PendingLoad
from backend.lab.bench.steps_drain import FLINK_TIMEOUT_S, runs_on_flink
from backend.lab.chaos.target import TargetStack
from backend.pipelines.faults import NotReadyError
from backend.stack.wanted import API
from coffee_core.load.schedule import Shape
from coffee_core.pipelines import Pipeline
from coffee_core.settings import Settings

_BEFORE_S = 2.0


@dataclass(slots=True)
class KillTimeline:
    """Orders accepted and visible over time, with the moments of the kills; for a picture."""

    loads: list[PendingLoad] = field(default_factory=list)
    kills: dict[Pipeline, tuple[float, str]] = field(default_factory=dict)
    """Pipeline → when its processor was killed (monotonic seconds), and its name."""


async def kill_processors(harness: Harness, timeline: KillTimeline) -> None:
    """Kill the processor of each pipeline in turn, under load; measure for how long its dashboard stood still."""
    target = TargetStack(harness.settings)
    if any(map(runs_on_flink, harness.pipelines)):
        # A job that has just drained a backlog would, without a checkpoint since, have to drain it once more.
        await _complete_checkpoint(harness.settings)
    length_s = _BEFORE_S + harness.size.fault_s * len(harness.pipelines)
    loading = asyncio.create_task(
        harness.load("kills", harness.pipelines, Shape(harness.size.fault_rate), length_s)
    )
    await asyncio.sleep(_BEFORE_S)
    try:
        # v3 first: it takes longest to come back, and the others may be watched meanwhile.
        for pipeline in reversed(harness.pipelines):
            part = await target.find(pipeline.info.processor or API)
            assert part.pid is not None, "a part that was found has a process"
            timeline.kills[pipeline] = (time.monotonic(), part.name)
            os.kill(part.pid, signal.SIGKILL)
            await asyncio.sleep(harness.size.fault_s)
    finally:
        timeline.loads = await loading
    await target.all_up()
    await harness.settle(harness.pipelines)
    for load in timeline.loads:
        killed_s, _ = timeline.kills[load.pipeline]
        history = harness.watcher.histories[load.pipeline]
        still_s = history.longest_still_s(killed_s, load.start_s + length_s)
        harness.figures.add(f"{load.pipeline}.recovery", still_s, "s")
        harness.figures.add(f"{load.pipeline}.recovery.failed", harness.measured(load).failed, "orders")


async def _complete_checkpoint(settings: Settings) -> None:
    """Have the job of the orders complete a checkpoint. Raises NotReadyError where it does not."""
    from flink.options import JOB_NAME  # not loaded where no Flink runs
    from flink.rest import FlinkOperationError, FlinkRest

    async with FlinkRest(settings.flink_rest_url, FLINK_TIMEOUT_S) as flink:
        for job in await flink.jobs():
            if job.state == "RUNNING":
                try:
                    await flink.checkpoint(job)
                except FlinkOperationError as error:
                    raise NotReadyError(f"the job {JOB_NAME!r} completes no checkpoint") from error
