"""Keeps exactly one job of ours on the cluster: that of the current epoch, from its newest checkpoint on."""

import logging

from redis.asyncio import Redis

from coffee_core.runstate import tell_remarks
from coffee_core.settings import Settings
from flink.fence import current_epoch
from flink.options import EPOCH_PARAMETER, JOB_NAME
from flink.plans import Plans
from flink.rest import FlinkRest, Job
from flink.restoring import restoring
from flink.spare import Spare

log = logging.getLogger("flink.submit")
_BEGINNING, _ENDING = "INITIALIZING", "CANCELLING"
_UNFIT = "StateMigrationException"
"""What a task says of state that is not that of its columns: Flink would begin it again for ever."""
_PART = "flink-job"
"""Name of the submitter among the parts of the stack."""


class Watch:
    """What the submitter knows of its job.

    The epoch in Redis is all that a replay changes. Whatever is interrupted, and where, the next look finds a job
    of another epoch, or none, and does the rest.
    """

    def __init__(self, settings: Settings, rest: FlinkRest, redis: Redis) -> None:
        self._settings = settings
        self._rest = rest
        self._redis = redis
        self._epochs: dict[str, str] = {}
        """Job → the epoch that it was submitted in."""
        self._restored: dict[str, str] = {}
        """Job → the checkpoint that it was to continue from."""
        self._refused: set[str] = set()
        """Checkpoints that no job could start from."""
        self._running: str | None = None
        self._told: dict[str, str] = {}
        """Remarks, as last told."""
        self._plans = Plans(settings)
        self._checkpoints = restoring(settings, rest, redis)
        self._spare = Spare(rest, self._plans)

    async def look(self) -> None:
        """Look once, and submit or cancel what is amiss. Raises what is worth another try."""
        epoch = await current_epoch(self._redis, self._settings.home / "flink" / "epoch")
        jobs = await self._rest.jobs(JOB_NAME)
        active = [job for job in jobs if job.active]
        current: list[Job] = []
        for job in active:
            submitted_in = await self._epoch_of(job)
            if submitted_in is None or submitted_in == epoch:
                current.append(job)
            else:
                await self._cancel(job, f"it is of epoch {submitted_in or 'none'}, and this is epoch {epoch}")
        for surplus in current[1:]:
            await self._cancel(surplus, f"{current[0].id} is newer")
        if current:
            await self._note(current[0], epoch)
        elif not active:
            # Never beside a job that is still ending: its last rows would meet ours.
            self._refuse_checkpoints(jobs)
            await self._note_ended(jobs, epoch)
            await self._submit(epoch)

    async def close(self) -> None:
        """End what runs beside the watch."""
        await self._spare.close()
        await self._plans.close()

    async def _epoch_of(self, job: Job) -> str | None:
        """Return the epoch of a job, '' of one that was never told any, None while Flink cannot say."""
        if job.id not in self._epochs:
            if job.state == _BEGINNING:
                return None
            found = await self._rest.parameter(job, EPOCH_PARAMETER)
            if found is None:
                return None
            self._epochs[job.id] = found
        return self._epochs[job.id]

    async def _cancel(self, job: Job, reason: str) -> None:
        if job.state != _ENDING:
            log.warning("cancelling job %s: %s", job.id, reason)
            await self._rest.cancel(job)

    async def _note(self, job: Job, epoch: str) -> None:
        if not job.all_running:
            await self._refuse_unfit(job)
            return
        if self._running != job.id:
            self._running = job.id
            log.info("job %s runs, in epoch %s", job.id, epoch)
        if self._epochs.get(job.id) == epoch:
            await self._checkpoints.note(epoch, job.id)
        planned = self._checkpoints.planned(epoch)
        if await self._spare.look() and planned is not None:
            self._plans.make_ahead(epoch, planned)
        if planned is None:
            self._tell("each start is planned when it is due")
        else:
            self._tell("next start planned" if self._plans.is_ahead(epoch) else "next start not planned yet")

    def _tell(self, of_the_job: str) -> None:
        remarks = self._spare.remarks | {_PART: of_the_job}
        if remarks != self._told:
            tell_remarks(self._settings.home, remarks)
            self._told = remarks

    async def _refuse_unfit(self, job: Job) -> None:
        """End a job that never ran because it cannot read the state that it was given."""
        if job.id != self._running and await self._rest.has_failed_by(job.id, _UNFIT):
            if path := self._restored.pop(job.id, None):
                self._refuse(path)
            await self._cancel(job, "its state is not that of its statements")

    def _refuse_checkpoints(self, jobs: list[Job]) -> None:
        """Remember checkpoints from which jobs could not start: after any other failure Flink restarts."""
        for job in jobs:
            path = self._restored.pop(job.id, None)
            if job.state == "FAILED" and path is not None and job.id != self._running:
                self._refuse(path)

    def _refuse(self, path: str) -> None:
        log.error("no job can start from %s; trying the one before", path)
        self._refused.add(path)

    async def _note_ended(self, jobs: list[Job], epoch: str) -> None:
        """Note the last that the newest job of this epoch has completed: it may have stopped with a savepoint."""
        for job in jobs:
            if await self._epoch_of(job) == epoch:
                await self._checkpoints.note(epoch, job.id)
                return

    async def _submit(self, epoch: str) -> None:
        restore = await self._checkpoints.newest(epoch, self._refused)
        from_where = None if restore is None else await self._checkpoints.point(epoch, restore)
        plan = await self._plans.orders(epoch, from_where)
        start = f"checkpoint {restore}" if restore else "the first order on"
        log.info("submitting the job of epoch %s from %s", epoch, start)
        job_id = await self._rest.submit(plan)
        self._epochs[job_id] = epoch
        if restore is not None:
            self._restored[job_id] = restore
