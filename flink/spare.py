"""Keeps the spare TaskManager warm: a fresh one takes seconds to its first Python function, a warm one 0.4 s."""

import asyncio
import contextlib
import logging

import aiohttp

from flink.client import SubmitError, submit_warm_up
from flink.rest import ENDED, FlinkRest

_LOOK_EVERY_S = 0.5
_AGAIN_AFTER_S = 30.0
log = logging.getLogger("flink.submit")


class Spare:
    """Runs a short job of one Python call on free slots, once for each process of a TaskManager."""

    def __init__(self, rest: FlinkRest) -> None:
        self._rest = rest
        self._warm: set[str] = set()
        """Addresses of the TaskManagers that have run our Python."""
        self._task: asyncio.Task[None] | None = None

    async def look(self) -> None:
        """Start a warm-up where it is due. Call it while the job runs: its own slots are then taken."""
        slots = await self._rest.free_slots()
        self._warm &= slots.keys()
        self._warm |= {address for address, free in slots.items() if not free}
        cold = {address: free for address, free in slots.items() if address not in self._warm}
        if cold and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._warm_up(set(cold), sum(cold.values())))

    async def close(self) -> None:
        """End a warm-up that is under way."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _warm_up(self, addresses: set[str], slots: int) -> None:
        try:
            job_id = await submit_warm_up(slots)
            while True:
                state = await self._rest.state(job_id)
                if state in ENDED:
                    break
                await asyncio.sleep(_LOOK_EVERY_S)
        except (SubmitError, aiohttp.ClientError, OSError, TimeoutError) as error:
            log.warning("the spare TaskManager is not warm: %s", error)
        else:
            if state == "FINISHED":
                self._warm |= addresses
                log.info("the spare TaskManager is warm")
                return
            log.warning("the warm-up of the spare TaskManager ended as %s", state)
        await asyncio.sleep(_AGAIN_AFTER_S)
