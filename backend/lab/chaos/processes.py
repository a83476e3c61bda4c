"""Faults that are done to processes: by signals, and by limits."""

import asyncio
import os
import signal
import time

from backend.lab.chaos.faults import Fault
from backend.lab.chaos.guard import Guard, frozen
from backend.lab.chaos.scene import BACK_WITHIN_S, Done, Scene
from coffee_core.runstate import PartState, read_state

_STOPPED_S, _RUNNING_S = 0.2, 0.05
_LIMIT_EVERY_S = 0.05


async def kill(fault: Fault, scene: Scene, _lasts_s: float) -> Done:
    """Kill a part. Raises NotReadyError where it has no process."""
    before = await scene.site.find(fault.part)
    assert before.pid is not None
    scene.struck()
    os.kill(before.pid, signal.SIGKILL)
    what = f"killed {before.name} (pid {before.pid})"
    if not await scene.site.restarted(before, BACK_WITHIN_S):
        return Done(what, problem=f"{before.name} did not come back within {BACK_WITHIN_S:g} s: see its log")
    return Done(what, problem=await scene.still_down())


async def freeze(fault: Fault, scene: Scene, lasts_s: float) -> Done:
    """Stop a part for a time. Raises NotReadyError where it has no process."""
    part = await scene.site.find(fault.part)
    assert part.pid is not None
    scene.struck()
    with frozen(part.pid):
        await asyncio.sleep(lasts_s)
    return Done(f"froze {part.name} (pid {part.pid}) for {lasts_s:g} s", problem=await scene.still_down())


async def slow(fault: Fault, scene: Scene, lasts_s: float) -> Done:
    """Let a part run for a fifth of the time. Raises NotReadyError where it has no process."""
    part = await scene.site.find(fault.part)
    assert part.pid is not None
    scene.struck()
    until_s = time.monotonic() + lasts_s
    with Guard() as guard:
        while time.monotonic() < until_s:
            guard.stop(part.pid)
            await asyncio.sleep(_STOPPED_S)
            guard.mend()
            await asyncio.sleep(_RUNNING_S)
    share = f"{_RUNNING_S / (_STOPPED_S + _RUNNING_S):.0%}"
    what = f"let {part.name} (pid {part.pid}) run for {share} of the time, for {lasts_s:g} s"
    return Done(what, problem=await scene.still_down())


async def fill_disk(fault: Fault, scene: Scene, lasts_s: float) -> Done:
    """Let every write to a file fail, of a part and of each process that takes its place meanwhile.

    Raises NotReadyError where the part has no process, or this machine does not allow it.
    """
    part = await scene.site.find(fault.part)
    assert part.pid is not None
    now: PartState | None = part
    scene.struck()
    until_s = time.monotonic() + lasts_s
    with Guard(account_of=part.pid) as guard:
        while time.monotonic() < until_s:
            if now is not None and now.pid is not None:
                guard.keep_from_writing(now.pid)
            await asyncio.sleep(_LIMIT_EVERY_S)
            now = read_state(scene.site.settings.home, part.name)
    what = f"no file of {part.name} could be written for {lasts_s:g} s"
    return Done(what, problem=await scene.still_down())
