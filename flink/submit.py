"""``python -m flink.submit``: keeps exactly one job of ours on the cluster, from the newest checkpoint on.

A job that already runs is adopted. Where the JobManager has lost it, it is submitted again. SIGTERM ends the
watch and leaves the job where it is.
"""

import asyncio
import contextlib
import logging
import signal
import sys
from pathlib import Path

import aiohttp
from redis.asyncio import Redis
from redis.exceptions import RedisError

from coffee_core.settings import Settings
from flink.checkpoints import newest_checkpoint, remove_others
from flink.client import SubmitError, submit_orders
from flink.fence import current_epoch
from flink.options import JOB_NAME, checkpoint_dir
from flink.reachable import wait_for_servers
from flink.rest import FlinkRest, Job
from flink.spare import Spare

_LOOK_EVERY_S = 0.5
_LONGEST_PAUSE_S = 15.0
_PASSING = (aiohttp.ClientError, OSError, TimeoutError, RedisError, SubmitError)
log = logging.getLogger("flink.submit")


class Watch:
    """What the submitter knows of its job."""

    def __init__(self, settings: Settings, rest: FlinkRest, redis: Redis) -> None:
        self._settings = settings
        self._rest = rest
        self._redis = redis
        self._checkpoints = checkpoint_dir(settings)
        self._restored: dict[str, Path] = {}
        """Job → the checkpoint that it was to continue from."""
        self._refused: set[Path] = set()
        """Checkpoints that no job could start from."""
        self._running: str | None = None
        self._spare = Spare(rest)

    async def look(self) -> None:
        """Look once, and submit or cancel what is amiss. Raises what is worth another try."""
        epoch = await current_epoch(self._redis, self._settings.home / "flink" / "epoch")
        jobs = await self._rest.jobs(JOB_NAME)
        active = [job for job in jobs if job.active]
        for surplus in active[1:]:
            log.warning("cancelling job %s: %s is newer", surplus.id, active[0].id)
            await self._rest.cancel(surplus)
        if active:
            await self._note(active[0])
            return
        self._refuse_checkpoints(jobs)
        await self._submit(epoch)

    async def close(self) -> None:
        """End what runs beside the watch."""
        await self._spare.close()

    async def _note(self, job: Job) -> None:
        if job.all_running and self._running != job.id:
            self._running = job.id
            log.info("job %s runs", job.id)
        if job.all_running:
            await asyncio.to_thread(remove_others, self._checkpoints, job.id)
            await self._spare.look()

    def _refuse_checkpoints(self, jobs: list[Job]) -> None:
        """Remember checkpoints from which jobs could not start: after any other failure Flink restarts."""
        for job in jobs:
            path = self._restored.pop(job.id, None)
            if job.state == "FAILED" and path is not None and job.id != self._running:
                log.error("no job can start from %s; trying the one before", path)
                self._refused.add(path)

    async def _submit(self, epoch: str) -> None:
        restore = newest_checkpoint(self._checkpoints, self._refused)
        log.info("submitting the job from %s", f"checkpoint {restore}" if restore else "the first order on")
        job_id = await submit_orders(epoch, restore)
        if restore is not None:
            self._restored[job_id] = restore


async def _watch(settings: Settings, stop: asyncio.Event) -> None:
    await wait_for_servers(settings, log)
    rest = FlinkRest(settings.flink_rest_url)
    redis: Redis = Redis.from_url(settings.redis_url, decode_responses=True, socket_timeout=5)
    watch = Watch(settings, rest, redis)
    pause = _LOOK_EVERY_S
    try:
        while not stop.is_set():
            try:
                await watch.look()
                pause = _LOOK_EVERY_S
            except _PASSING as error:
                if pause == _LOOK_EVERY_S:
                    log.warning("cannot watch the job, trying again: %s", str(error) or type(error).__name__)
                pause = min(2 * pause, _LONGEST_PAUSE_S)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause)
    finally:
        await watch.close()
        await rest.close()
        await redis.aclose()


async def _main() -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    watch = loop.create_task(_watch(Settings.from_env(), stop))

    def end() -> None:
        stop.set()
        # Not in the middle of a submission only: a client that was let go might submit after we are gone.
        watch.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    with contextlib.suppress(asyncio.CancelledError):
        await watch


def main() -> int:
    """Watch until told to end; return the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    asyncio.run(_main())
    return 0


if __name__ == "__main__":
    sys.exit(main())
