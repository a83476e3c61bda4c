"""The optional reconciliation of v2 and v3: `coffee reconcile` on a schedule.

v2's metrics are mended. v3's are compared alone: what mends them is a replay, during which its dashboard counts up
from 0, so that somebody has to ask for it.
"""

import asyncio
import logging
import sys
import time
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Sequence

from backend.aggregator.schedule import Schedule
from backend.daemon import sleep
from coffee_core.pipelines import Pipeline
from coffee_core.tie import tied

_log = logging.getLogger(__name__)


async def run_reconciliations(stop: asyncio.Event, pipelines: Sequence[Pipeline], interval_s: float) -> None:
    """Reconcile each of these pipelines every ``interval_s`` seconds until told to stop; 0 is never.

    One that fails is said, and tried again when the next is due.
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
    # A process of its own: v1's runs do not wait for it, and what the others need is not loaded here.
    options = ("--compare",) if pipeline is Pipeline.V3 else ()
    command = (sys.executable, "-m", "backend.cli", "reconcile", pipeline.value, *options)
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=STDOUT, preexec_fn=tied())
    ended, stopped = asyncio.create_task(process.communicate()), asyncio.create_task(stop.wait())
    await asyncio.wait((ended, stopped), return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not ended.done():
        # Nothing is half done: a drift is added in one script.
        process.terminate()
        await ended
        return
    said, _ = ended.result()
    drifted_or_failed = process.returncode != 0 or b"mended" in said
    for line in said.decode(errors="replace").splitlines():
        _log.log(logging.WARNING if drifted_or_failed else logging.INFO, "%s", line)
