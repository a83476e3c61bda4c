"""The optional reconciler: ``coffee reconcile`` on a schedule, run by the aggregator's process."""

import asyncio
import logging
import time
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Sequence

from backend.clients.daemon import sleep
from backend.pipelines.schedule import Schedule
from coffee_core.children import child_environ, python_module
from coffee_core.parent_death_signal import dies_with_parent
from coffee_core.pipelines import Pipeline, Repair

_log = logging.getLogger(__name__)


async def run_reconciliations(stop: asyncio.Event, pipelines: Sequence[Pipeline], interval_s: float) -> None:
    """Reconcile these pipelines every ``interval_s`` seconds until ``stop`` is set; never where it is 0.

    Where the pipeline can only compare (v3), nothing is mended: that takes a replay, during which its dashboard
    counts up from 0, so that somebody has to ask for it. A failed reconciliation is logged, and tried again at the
    next due time.
    """
    if not interval_s or not pipelines:
        return
    _log.info("reconciling %s every %g s", ", ".join(pipelines), interval_s)
    schedule = Schedule(interval_s, time.monotonic())
    while not stop.is_set():
        now = time.monotonic()
        await sleep(schedule.next_s(now) - now, stop)
        for pipeline in pipelines:
            if not stop.is_set():
                await _reconcile(pipeline, stop)


async def _reconcile(pipeline: Pipeline, stop: asyncio.Event) -> None:
    # A process of its own: the aggregator's runs do not wait for it, and load nothing that the pipeline needs.
    options = ("--compare",) if Repair.COMPARE in pipeline.info.repairs else ()
    command = python_module("backend.cli", "reconcile", str(pipeline), *options)
    process = await asyncio.create_subprocess_exec(
        *command, env=child_environ(), stdout=PIPE, stderr=STDOUT, preexec_fn=dies_with_parent()
    )
    ended, stopped = asyncio.create_task(process.communicate()), asyncio.create_task(stop.wait())
    await asyncio.wait((ended, stopped), return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not ended.done():
        # Nothing is half done: a drift is added in one script.
        process.terminate()
        await ended
        return
    output, _ = ended.result()
    drifted_or_failed = process.returncode != 0 or b"mended" in output
    for line in output.decode(errors="replace").splitlines():
        _log.log(logging.WARNING if drifted_or_failed else logging.INFO, "%s", line)
