"""``python -m flink.submit``: keeps exactly one job of ours on the cluster, from the newest checkpoint on.

A job that already runs is adopted. Where the JobManager has lost it, it is submitted again; where the epoch has
changed, it is cancelled and another begins with empty state. SIGTERM ends the submitter and leaves the job alone.
"""

import asyncio
import contextlib
import logging
import signal
import sys
import time
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from coffee_core.backoff import Backoff
from coffee_core.errors import ConfigError
from coffee_core.keys import MetricKeys
from coffee_core.pipelines.constants import V3
from coffee_core.runstate import NEXT_START_PLANNED, STANDBY_WARM, write_private
from coffee_core.server_urls import Endpoint, HttpUrl, PostgresUrl, RedisUrl, parse_endpoints, place
from coffee_core.settings import Settings
from coffee_core.tasks import end_tasks
from flink.checkpoint_store import checkpoint_store
from flink.checkpoints import CHECKPOINT_EVERY_RECORDS, CHECKPOINT_EVERY_S, epoch_of
from flink.failures import Failure, JobFailedError
from flink.options import EPOCH_PARAMETER
from flink.outage import Outage
from flink.plans import Plans, SubmitError
from flink.rest import (
    ENDED,
    FlinkOperationError,
    FlinkRest,
    FlinkUnavailableError,
    Job,
    RefusedError,
    TaskManager,
)
from flink.statements import JdbcTarget

EPOCH_KEY = MetricKeys(V3).epoch
"""A job writes to Redis only while this key holds the epoch that it was submitted with."""
_FIRST_EPOCH = "1"
_PRESENCE = MetricKeys(V3).watched
_COUNTERS = MetricKeys(V3).counters
_PART = "flink-job"
"""Name of the submitter among the parts of the stack."""
_CHECK_EVERY_S = 0.5
_UNREACHABLE_PAUSE_S = 0.25
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 15.0
_UNREACHABLE = (FlinkUnavailableError, OSError, TimeoutError, RedisError)
"""A server is away: to ask it again costs nothing, and it may be back at any moment."""

_TRANSIENT_ERRORS = (*_UNREACHABLE, SubmitError, RefusedError, JobFailedError)
_CONNECT_TIMEOUT_S = 2.0
_CONNECT_EVERY_S = 0.2
_WARM_UP_CHECK_EVERY_S = 0.25
_WARM_UP_RETRY_AFTER_S = 5.0
_INITIALIZING, _CANCELLING, _FAILED = "INITIALIZING", "CANCELLING", "FAILED"
_FAILURES = 3
"""Equal failures in a row after which one is taken to repeat itself: of a checkpoint, that it is damaged."""
_SLOTS_WITHIN_S = 20.0
"""Seconds in which TaskManagers that start with the job offer their slots."""
_BEGINS_WITHIN_S = 60.0
"""Seconds in which a job with slots begins: 20 were seen at a healthy first start on a busy machine."""

log = logging.getLogger("flink.submit")


class Submitter:
    """Keeps one job of the current epoch on the cluster, from its newest usable checkpoint.

    The epoch in Redis is all that a replay changes. Whatever is interrupted, and where, the next check finds a job
    of another epoch, or none, and does the rest.
    """

    def __init__(self, settings: Settings, rest: FlinkRest, redis: Redis, outage: Outage) -> None:
        self._settings = settings
        self._rest = rest
        self._redis = redis
        self._outage = outage
        self._epochs: dict[str, str] = {}
        """Job → the epoch that it was submitted in."""
        self._restored: dict[str, str | None] = {}
        """Job that was submitted here → the checkpoint that it was to continue from, None of one without."""
        self._refused: set[str] = set()
        """Checkpoints that no job could start from."""
        self._running: str | None = None
        self._before_relapse: tuple[str, str | None] | None = None
        """Job that fails again and again, and the last checkpoint that it had completed when that was noticed."""
        self._plans = Plans(settings)
        self._checkpoints = checkpoint_store(settings, rest, redis)
        self._standby = WarmStandby(rest, self._plans)
        self._by_volume = CheckpointsByVolume(rest, redis)

    async def check(self) -> bool:
        """Compare the jobs on the cluster with the one that should run; cancel or submit.

        Returns whether that one runs, and has for a while. Raises an error of ``_TRANSIENT_ERRORS``.
        """
        epoch = await current_epoch(self._redis, self._settings.home / "flink" / "epoch")
        jobs = await self._rest.jobs()
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
        if current and current[0].all_running:
            await self._watch(current[0], epoch)
            # One that has failed may fail again every second.
            failed = self._outage.is_out and bool(await self._rest.failures(current[0].id))
            proven = await self._has_completed_checkpoint(current[0])
            return self._outage.runs(steady=self._outage.is_out and not failed, proven=proven)
        if current:
            await self._examine(current[0], epoch)
        elif not active:
            # Never beside a job that is still ending: its last rows would meet ours.
            await self._examine_ended(jobs, epoch)
            await self._note_ended(jobs, epoch)
            await self._submit(epoch)
        return False

    async def _has_completed_checkpoint(self, job: Job) -> bool:
        """Tell whether a job that has failed again and again has completed a checkpoint since."""
        if not self._outage.relapsed:
            self._before_relapse = None
            return False
        latest = job.id, await self._rest.latest_checkpoint(job.id)
        if self._before_relapse is None or self._before_relapse[0] != job.id:
            self._before_relapse = latest
        return latest != self._before_relapse

    async def close(self) -> None:
        """End what runs in the background."""
        await self._by_volume.close()
        await self._standby.close()
        await self._plans.close()

    async def _epoch_of(self, job: Job) -> str | None:
        """Return the epoch of a job, '' of one that was submitted without, None where Flink cannot tell."""
        if job.id not in self._epochs:
            if job.state == _INITIALIZING:
                return None
            found = await self._rest.parameter(job, EPOCH_PARAMETER)
            if found is None:
                # High availability has recovered it: its checkpoints lie in a folder of its epoch.
                uri = await self._rest.latest_checkpoint(job.id) or await self._rest.restored_from(job.id)
                found = None if uri is None else epoch_of(uri)
            if found is None:
                return None
            self._epochs[job.id] = found
        return self._epochs[job.id]

    async def _cancel(self, job: Job, reason: str) -> None:
        if job.state != _CANCELLING:
            log.warning("cancelling job %s: %s", job.id, reason)
            await self._rest.cancel(job)

    async def _watch(self, job: Job, epoch: str) -> None:
        if self._running != job.id:
            self._running = job.id
            log.info("job %s runs, in epoch %s", job.id, epoch)
        await self._by_volume.check(job)
        if self._epochs.get(job.id) == epoch:
            await self._checkpoints.note_completed(epoch, job.id)
        restore = self._checkpoints.stable_uri(epoch)
        if await self._standby.check() and restore is not None:
            self._plans.make_ahead(epoch, restore)
        if restore is None:
            remark = "each start is planned when it is due"
        else:
            remark = NEXT_START_PLANNED if self._plans.is_ahead(epoch) else "next start not planned yet"
        self._outage.remark(self._standby.remarks | {_PART: remark})

    async def _examine(self, job: Job, epoch: str) -> None:
        """Find out why a job does not run; cancel one that cannot, for its checkpoint is damaged."""
        failures = await self._rest.failures(job.id)
        if not failures:
            await self._examine_slots(job)
            return
        newest = failures[0]
        if all(failure.of_damaged_state for failure in failures[:_FAILURES]) and len(failures) >= _FAILURES:
            await self._give_up(job, newest, await self._restored_from(job, epoch), epoch)
            await self._cancel(job, newest.sentence)
            return
        equal = list(takewhile(lambda failure: failure.sentence == newest.sentence, failures))
        reason, cure = counted(newest.sentence, len(equal)), newest.cure
        if newest.of_restoring:
            reason = f"the checkpoint cannot be read: {reason}"
            cure = "it is read again until that is mended; `coffee replay v3` counts the topic without it"
        if newest.of_damaged_state:
            cure = f"another is tried after {_FAILURES} failures in a row"
        self._outage.found(reason, cure)

    async def _examine_slots(self, job: Job) -> None:
        """Find out whether a job that has not failed waits for slots."""
        self._outage.starts()
        if not job.scheduled:
            return
        managers = await self._rest.task_managers()
        if managers:
            free, slots = sum(each.free_slots for each in managers), sum(each.slots for each in managers)
            if free >= self._settings.flink_parallelism:
                self._outage.found(
                    "the job has slots and starts", "nothing: it begins by itself", _BEGINS_WITHIN_S
                )
                return
            reason = f"the job waits for slots: {free} of {slots} in Flink are free"
        else:
            reason = f"no TaskManager is registered with Flink at {place(self._settings.flink_rest_url)}"
        self._outage.found(reason, "the job begins once there are TaskManagers with free slots", _SLOTS_WITHIN_S)

    async def _examine_ended(self, jobs: list[Job], epoch: str) -> None:
        """Find out why a job of ours could not begin. Raises JobFailedError with the reason, once for each."""
        for job in jobs:
            if job.id not in self._restored:
                continue
            restored = self._restored.pop(job.id)
            if job.state != _FAILED or not (failures := await self._rest.failures(job.id)):
                continue
            if not failures[0].of_damaged_state:
                raise JobFailedError(failures[0].sentence)
            await self._give_up(job, failures[0], restored, epoch)

    async def _restored_from(self, job: Job, epoch: str) -> str | None:
        uri = await self._rest.restored_from(job.id)
        return None if uri is None else self._checkpoints.chosen(epoch, uri)

    async def _give_up(self, job: Job, failure: Failure, checkpoint: str | None, epoch: str) -> None:
        """Refuse the checkpoint of a job that failed by it, so that the one before is tried.

        Where a job with an empty state fails in the same way, it is not for the checkpoints: none is refused.
        """
        submitted_with = self._restored.pop(job.id, None)
        if checkpoint is None:
            self._refused.clear()
            self._outage.found(failure.sentence, "it is tried again and again until that is mended")
            return
        self._refused.add(checkpoint)
        if submitted_with is not None and job.id != self._running:
            # The same one, in the words of whoever listed it.
            self._refused.add(submitted_with)
        if not failure.of_restoring:
            # A damaged file is noticed when it is read: by then other checkpoints share it.
            while uri := await self._checkpoints.newest(epoch, self._refused):
                self._refused.add(uri)
        before = await self._checkpoints.newest(epoch, self._refused)
        cure = "the one before it is tried" if before else "the topic is counted from its first record"
        log.error("no job can start from %s (%s); %s", checkpoint, failure.sentence, cure)
        name = checkpoint.rpartition("/")[2]
        self._outage.found(f"the checkpoint {name} is damaged: {failure.sentence}", cure)

    async def _note_ended(self, jobs: list[Job], epoch: str) -> None:
        """Note the last checkpoint of this epoch's newest job: it may have stopped with a savepoint."""
        for job in jobs:
            if await self._epoch_of(job) == epoch:
                await self._checkpoints.note_completed(epoch, job.id)
                return

    async def _submit(self, epoch: str) -> None:
        restore = await self._checkpoints.newest(epoch, self._refused)
        planned = None if restore is None else await self._checkpoints.choose(epoch, restore)
        plan = await self._plans.orders(epoch, planned)
        start = f"checkpoint {restore}" if restore else "the first order on"
        log.info("submitting the job of epoch %s from %s", epoch, start)
        job_id = await self._rest.submit(plan)
        self._epochs[job_id] = epoch
        self._restored[job_id] = restore
        self._outage.starts()


async def current_epoch(redis: Redis, file: Path) -> str:
    """Return the epoch, putting back one that a flush has erased: the file remembers it. Raises RedisError."""
    kept = _read_epoch(file)
    await redis.set(EPOCH_KEY, kept or _FIRST_EPOCH, nx=True)
    epoch = str(await redis.get(EPOCH_KEY) or "")
    if epoch and epoch != kept:
        write_private(file, f"{epoch}\n", durable=True)
    return epoch or kept or _FIRST_EPOCH


def _read_epoch(file: Path) -> str:
    try:
        text = file.read_text(encoding="utf-8", errors="replace").strip()
    except FileNotFoundError:
        return ""
    # What a power cut has left empty, or full of zeros, is no epoch.
    return text if text.isascii() and text.isdecimal() else ""


class CheckpointsByVolume:
    """Has the job take a checkpoint once many records were counted within the interval of its own ones.

    After a crash what came since the last one is read again, by a TaskManager that is warm and not yet fast.
    """

    def __init__(self, rest: FlinkRest, redis: Redis, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock`` returns seconds."""
        self._rest = rest
        self._redis = redis
        self._clock = clock
        self._begun: tuple[int, float] | None = None
        """Records that had been counted when the interval began, and when that was (s)."""
        self.task: asyncio.Task[None] | None = None
        """The last checkpoint that was begun here."""

    async def check(self, job: Job) -> None:
        """Begin a checkpoint where one is due and none is under way; call it while the job runs.

        Raises RedisError.
        """
        if self.task is not None and not self.task.done():
            return
        records, now_s = await self._counted(), self._clock()
        before, since_s = self._begun or (records, now_s)
        due = records - before >= CHECKPOINT_EVERY_RECORDS
        if due:
            self.task = asyncio.create_task(self._take(job))
        # After an interval the job has taken one by itself. Fewer records: a flush of Redis, or another epoch.
        over = due or records < before or now_s - since_s >= CHECKPOINT_EVERY_S
        self._begun = (records, now_s) if over else (before, since_s)

    async def close(self) -> None:
        """Wait no longer for a checkpoint that is under way."""
        if self.task is not None:
            await end_tasks(self.task)

    async def _counted(self) -> int:
        found: Any = self._redis.hmget(_COUNTERS, ["shown_orders", "duplicates", "dead"])
        return sum(int(value) for value in await found if value is not None and value.isdecimal())

    async def _take(self, job: Job) -> None:
        try:
            await self._rest.checkpoint(job)
        except (FlinkOperationError, FlinkUnavailableError, OSError, TimeoutError) as error:
            # The next check finds out what has become of the job.
            log.info("no checkpoint before its time: %s", error)


class WarmStandby:
    """Keeps the standby TaskManager warm: a fresh one takes seconds to its first Python function, a warm one 0.4.

    Runs a short job of one Python call on free slots, once for each process of a TaskManager.
    """

    def __init__(self, rest: FlinkRest, plans: Plans) -> None:
        self._rest = rest
        self._plans = plans
        self._warm: set[str] = set()
        """Addresses of the TaskManagers that have run our Python."""
        self.remarks: dict[str, str] = {}
        """How each TaskManager stands, by its address, as of the last check."""
        self._task: asyncio.Task[None] | None = None

    async def check(self) -> bool:
        """Start a warm-up where it is due, note how each TaskManager stands, and return whether all are warm.

        Call it while the job runs: its own slots are then taken.
        """
        managers = await self._rest.task_managers()
        self._warm &= {manager.address for manager in managers}
        if self._task is None or self._task.done():
            # Only now is a slot that is taken one of the job's, and not of a warm-up.
            self._warm |= {manager.address for manager in managers if manager.busy}
            cold = [manager for manager in managers if manager.free_slots and manager.address not in self._warm]
            if cold:
                self._task = asyncio.create_task(self._warm_up(cold))
        self.remarks = {manager.address: self._remark(manager) for manager in managers}
        return all(manager.address in self._warm for manager in managers)

    async def close(self) -> None:
        """End a warm-up that is under way."""
        if self._task is not None:
            await end_tasks(self._task)

    def _remark(self, manager: TaskManager) -> str:
        if manager.address not in self._warm:
            return "spare, warming up"
        return "works" if manager.busy else STANDBY_WARM

    async def _warm_up(self, managers: list[TaskManager]) -> None:
        try:
            plan = await self._plans.warm_up(sum(manager.free_slots for manager in managers))
            job_id = await self._rest.submit(plan)
            while True:
                state = await self._rest.state(job_id)
                if state in ENDED:
                    break
                await asyncio.sleep(_WARM_UP_CHECK_EVERY_S)
        except (SubmitError, RefusedError, FlinkUnavailableError, OSError, TimeoutError) as error:
            log.warning("the spare TaskManager is not warm: %s", error)
        else:
            if state == "FINISHED":
                self._warm |= {manager.address for manager in managers}
                log.info("the spare TaskManager is warm")
                return
            log.warning("the warm-up of the spare TaskManager ended as %s", state)
        await asyncio.sleep(_WARM_UP_RETRY_AFTER_S)


def counted(sentence: str, times: int) -> str:
    """Return what went wrong, with how often where that is often enough to be no accident."""
    marks = [mark for mark in (_FAILURES, 10, 30, 100, 300, 1_000) if mark <= times]
    return f"{sentence} ({marks[-1]} times in a row, or more)" if marks else sentence


class Retry:
    """Failures in a row: logs each reason once; the pause grows where the job itself could not be submitted."""

    def __init__(self) -> None:
        self._backoff = Backoff(_FIRST_PAUSE_S, _LONGEST_PAUSE_S)
        self._reason: str | None = None
        self._times = 0
        self.pause_s = _CHECK_EVERY_S
        """Seconds until the next try."""

    def failed(self, error: BaseException) -> str:
        """Note a failure; log it unless it repeats the one before. Return the reason, and how often it came."""
        reason = str(error) or type(error).__name__
        if reason != self._reason:
            log.warning("cannot watch the job, trying again: %s", reason)
            self._times = 0
        self._reason = reason
        self._times += 1
        if isinstance(error, _UNREACHABLE):
            self._backoff.reset()
            self.pause_s = _UNREACHABLE_PAUSE_S
            return reason
        self.pause_s = self._backoff.next_s()
        return counted(reason, self._times)

    def passed(self) -> None:
        """Note that a check went well, though the job does not run yet."""
        self.pause_s = _CHECK_EVERY_S

    def succeeded(self) -> None:
        """Note that the job runs."""
        self._backoff.reset()
        self._reason = None
        self.pause_s = _CHECK_EVERY_S


def described(reason: str, error: BaseException, settings: Settings) -> str:
    """Return a reason behind the name of the server that gave the error, where the error does not name it."""
    if isinstance(error, FlinkUnavailableError):
        return f"Flink at {place(settings.flink_rest_url)} does not answer: {reason}"
    return f"Redis does not answer: {reason}" if isinstance(error, RedisError) else reason


async def wait_for_servers(settings: Settings, outage: Outage) -> None:
    """Wait until all four servers accept connections; log once which one is awaited.

    Of several brokers one is enough.
    """
    for name, places in _places(settings).items():
        logged = False
        at = ",".join(map(str, places))
        while not any([await _accepts(server) for server in places]):
            if not logged:
                log.info("waiting for %s at %s", name, at)
                logged = True
            outage.found(f"{name} at {at} does not answer", f"the job begins once {name} is there")
            await asyncio.sleep(_CONNECT_EVERY_S)


def _places(settings: Settings) -> dict[str, tuple[Endpoint | str, ...]]:
    """Return where each server listens; a Unix socket is its path."""
    redis, postgres = RedisUrl.parse(settings.redis_url), PostgresUrl.parse(settings.database_url)
    return {
        "Kafka": parse_endpoints(settings.kafka_servers),
        "Flink": (HttpUrl.parse(settings.flink_rest_url).endpoint,),
        "Redis": (redis.path or redis.endpoint,),
        "PostgreSQL": tuple(server.socket_path or server for server in postgres.endpoints),
    }


async def _accepts(server: Endpoint | str) -> bool:
    try:
        async with asyncio.timeout(_CONNECT_TIMEOUT_S):
            if isinstance(server, str):
                _, writer = await asyncio.open_unix_connection(server)
            else:
                _, writer = await asyncio.open_connection(server.host, server.port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


async def _keep_submitted(settings: Settings, stop: asyncio.Event) -> None:
    redis: Redis = Redis.from_url(settings.redis_url, decode_responses=True, socket_timeout=5)
    outage = Outage(settings, redis)
    publishing = asyncio.create_task(outage.keep_published())
    rest = FlinkRest(settings.flink_rest_url)
    submitter = Submitter(settings, rest, redis, outage)
    presence = redis.pubsub()
    retry = Retry()
    try:
        await wait_for_servers(settings, outage)
        while not stop.is_set():
            try:
                await _show_presence(presence)
                if await submitter.check():
                    retry.succeeded()
                else:
                    retry.passed()
            except _TRANSIENT_ERRORS as error:
                outage.found(described(retry.failed(error), error, settings), "it is tried again and again")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), retry.pause_s)
    finally:
        await end_tasks(publishing)
        await submitter.close()
        await rest.close()
        await presence.aclose()  # type: ignore[no-untyped-call]
        await redis.aclose()


async def _show_presence(presence: PubSub) -> None:
    """Subscribe to the channel on which a replay looks for a submitter; again after Redis was away.

    Raises RedisError.
    """
    if not presence.subscribed:
        await presence.subscribe(_PRESENCE)
    # Only a read notices a lost connection; the next read makes another.
    await presence.get_message(ignore_subscribe_messages=True, timeout=0.01)


async def _main(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    task = loop.create_task(_keep_submitted(settings, stop))

    def end() -> None:
        stop.set()
        # Cancel even in the middle of a submission: a client process left running could submit after this one
        # has ended.
        task.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    with contextlib.suppress(asyncio.CancelledError):
        await task


def main() -> int:
    """Keep the job submitted until a signal ends it; return the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        settings = Settings.from_env()
        JdbcTarget.of_url(settings.database_url)  # before any server is awaited: raises where it cannot be used
        asyncio.run(_main(settings))
    except ConfigError as error:
        log.error("%s", error)  # noqa: TRY400 - the message is enough
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
