"""Keeps the spare TaskManager warm: a fresh one takes seconds to its first Python function, a warm one 0.4 s."""

import asyncio
import contextlib
import logging

import aiohttp

from flink.client import SubmitError
from flink.plans import Plans
from flink.rest import ENDED, FlinkRest, RefusedError, TaskManager

_LOOK_EVERY_S = 0.25
_AGAIN_AFTER_S = 5.0
log = logging.getLogger("flink.submit")


class Spare:
    """Runs a short job of one Python call on free slots, once for each process of a TaskManager."""

    def __init__(self, rest: FlinkRest, plans: Plans) -> None:
        self._rest = rest
        self._plans = plans
        self._warm: set[str] = set()
        """Addresses of the TaskManagers that have run our Python."""
        self.remarks: dict[str, str] = {}
        """How each TaskManager stands, by its address, as of the last look."""
        self._task: asyncio.Task[None] | None = None

    async def look(self) -> bool:
        """Start a warm-up where it is due, note how each TaskManager stands, and return whether all are warm.

        Call it while the job runs: its own slots are then taken.
        """
        managers = await self._rest.task_managers()
        self._warm &= {each.address for each in managers}
        if self._task is None or self._task.done():
            # Only now is a slot that is taken one of the job's, and not of a warm-up.
            self._warm |= {each.address for each in managers if each.busy}
            cold = [each for each in managers if each.free_slots and each.address not in self._warm]
            if cold:
                self._task = asyncio.create_task(self._warm_up(cold))
        self.remarks = {each.address: self._remark(each) for each in managers}
        return all(each.address in self._warm for each in managers)

    async def close(self) -> None:
        """End a warm-up that is under way."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def _remark(self, manager: TaskManager) -> str:
        if manager.address not in self._warm:
            return "spare, warming up"
        return "works" if manager.busy else "spare, warm"

    async def _warm_up(self, managers: list[TaskManager]) -> None:
        try:
            plan = await self._plans.warm_up(sum(each.free_slots for each in managers))
            job_id = await self._rest.submit(plan)
            while True:
                state = await self._rest.state(job_id)
                if state in ENDED:
                    break
                await asyncio.sleep(_LOOK_EVERY_S)
        except (SubmitError, RefusedError, aiohttp.ClientError, OSError, TimeoutError) as error:
            log.warning("the spare TaskManager is not warm: %s", error)
        else:
            if state == "FINISHED":
                self._warm |= {each.address for each in managers}
                log.info("the spare TaskManager is warm")
                return
            log.warning("the warm-up of the spare TaskManager ended as %s", state)
        await asyncio.sleep(_AGAIN_AFTER_S)
