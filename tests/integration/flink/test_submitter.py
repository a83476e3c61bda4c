"""The submitter before jobs that do not run, told by a server that answers as a JobManager does."""

import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from redis.asyncio import Redis

from coffee_core.keys import MetricKeys
from coffee_core.pipelines.constants import V3
from coffee_core.runstate import NOT_RUNNING, read_remarks
from coffee_core.settings import Settings
from coffee_core.standstill import Standstill
from flink.checkpoints import CHECKPOINT_EVERY_RECORDS, CHECKPOINT_EVERY_S, checkpoints_uri
from flink.failures import JobFailedError
from flink.options import EPOCH_PARAMETER, JOB_NAME
from flink.outage import AFTER_S, Outage
from flink.plans import client_arguments, fingerprint
from flink.rest import FlinkRest, Job
from flink.submit import CheckpointsByVolume, Submitter
from tests.waiting import until

STANDSTILL = MetricKeys(V3).standstill
DAMAGED = """java.lang.Exception: Exception while creating StreamOperatorStateContext.
\tat org.apache.flink.streaming.api.operators.BackendRestorerProcedure.createAndRestore(BackendRestorer.java:138)
Caused by: java.io.FileNotFoundException: /old/place/shared/e8620dde (No such file or directory)
"""
FULL = DAMAGED.replace("No such file or directory", "No space left on device")
NO_POSTGRES = (
    "x.PSQLException: Connection to 127.0.0.1:5432 refused. Check that the hostname and port are correct."
)
CORRUPT = "x.RuntimeException: task\nCaused by: org.rocksdb.RocksDBException: Corruption: block checksum mismatch"
NO_METADATA = DAMAGED.replace("BackendRestorerProcedure", "CheckpointCoordinator.restoreSavepoint")


class JobManager:
    """Jobs in the states that a test gives them; it takes new ones, and cancels."""

    def __init__(self) -> None:
        self.jobs: dict[str, dict[str, Any]] = {}
        self.recovered: set[str] = set()
        """Jobs that high availability has brought back: Flink shows none of their parameters."""
        self.task_managers: list[dict[str, Any]] = []
        self.submitted = 0
        self.triggered = 0
        """Checkpoints that were asked for by hand."""
        self.completes = True
        """Whether these complete."""
        self._start_ms = itertools.count(1)

    def put(self, job_id: str, state: str = "RUNNING", running: int = 0, failures: tuple[str, ...] = ()) -> None:
        """Let a job be as given, its failures newest first."""
        job = self.jobs.setdefault(job_id, {"start": next(self._start_ms), "restored": None})
        job |= {"state": state, "running": running, "failures": failures}

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/jobs/overview", self._overview)
        app.router.add_get("/jobs/{id}/config", self._config)
        app.router.add_get("/jobs/{id}/exceptions", self._exceptions)
        app.router.add_get("/jobs/{id}/checkpoints", self._checkpoints)
        app.router.add_post("/jobs/{id}/checkpoints", self._trigger)
        app.router.add_get("/jobs/{id}/checkpoints/{request}", self._triggered)
        app.router.add_get("/taskmanagers", self._task_managers)
        app.router.add_patch("/jobs/{id}", self._cancel)
        app.router.add_post("/v1/jobs", self._submit)
        return app

    async def _overview(self, _request: web.Request) -> web.Response:
        return web.json_response({"jobs": [self._listed(job_id, job) for job_id, job in self.jobs.items()]})

    def _listed(self, job_id: str, job: dict[str, Any]) -> dict[str, Any]:
        tasks = {"running": job["running"], "total": 2, "scheduled": 2 - job["running"]}
        return {
            "jid": job_id,
            "name": JOB_NAME,
            "state": job["state"],
            "start-time": job["start"],
            "tasks": tasks,
        }

    async def _config(self, request: web.Request) -> web.Response:
        known = {} if request.match_info["id"] in self.recovered else {EPOCH_PARAMETER: "1"}
        return web.json_response({"execution-config": {"user-config": known}})

    async def _exceptions(self, request: web.Request) -> web.Response:
        entries = [{"stacktrace": each} for each in self.jobs[request.match_info["id"]]["failures"]]
        return web.json_response({"exceptionHistory": {"entries": entries}})

    async def _checkpoints(self, request: web.Request) -> web.Response:
        restored = self.jobs[request.match_info["id"]]["restored"]
        of_it = None if restored is None else {"id": 1, "external_path": restored}
        completed = self.jobs[request.match_info["id"]].get("completed")
        latest = None if completed is None else {"id": completed, "external_path": f"file:/x/chk-{completed}"}
        return web.json_response({"latest": {"completed": latest, "savepoint": None, "restored": of_it}})

    async def _trigger(self, _request: web.Request) -> web.Response:
        self.triggered += 1
        return web.json_response({"request-id": str(self.triggered)}, status=202)

    async def _triggered(self, _request: web.Request) -> web.Response:
        cause = {} if self.completes else {"failureCause": {"stack-trace": "x.CheckpointException: not all run"}}
        return web.json_response({"status": {"id": "COMPLETED"}, "operation": cause})

    async def _task_managers(self, _request: web.Request) -> web.Response:
        return web.json_response({"taskmanagers": self.task_managers})

    async def _cancel(self, request: web.Request) -> web.Response:
        self.jobs[request.match_info["id"]]["state"] = "CANCELED"
        return web.json_response({})

    async def _submit(self, request: web.Request) -> web.Response:
        await request.read()
        self.submitted += 1
        return web.json_response({}, status=202)


class Scene:
    """A submitter, the jobs that it finds, a clock, and the folder of the checkpoints."""

    def __init__(self, settings: Settings, manager: JobManager, rest: FlinkRest, redis: Redis) -> None:
        self.manager = manager
        self.now_s = 0.0
        self.outage = Outage(settings, redis, lambda: self.now_s)
        self.rest = rest
        self.submitter = Submitter(settings, rest, redis, self.outage)
        self.folder = Path(checkpoints_uri(settings, "1").removeprefix("file://"))
        self.link = self.folder / "restore-from"
        self._settings = settings
        self._redis = redis
        for kind, restore in (("orders", None), ("restored", f"file://{self.link}")):
            plan = fingerprint(settings, client_arguments("1", restore))
            path = settings.home / "flink" / "plans" / f"{kind}-{plan}.plan"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"a plan")

    def checkpoint(self, number: int) -> Path:
        """Complete a checkpoint of a job that has ended."""
        path = self.folder / ("a" * 32) / f"chk-{number}" / "_metadata"
        path.parent.mkdir(parents=True)
        path.touch()
        return path.parent

    async def submit(self) -> str:
        """Have the next job submitted, list it, and return its id."""
        await self.submitter.check()
        job_id = list(self.submitter._restored)[-1]
        self.manager.put(job_id)
        self.manager.jobs[job_id]["restored"] = f"file:{self.link}" if self.submitter._restored[job_id] else None
        return job_id

    def begins_with(self, job_id: str) -> str | None:
        """Return the name of the checkpoint from which a job was to continue."""
        uri = self.submitter._restored[job_id]
        return None if uri is None else Path(uri).name

    async def fails(self, job_id: str, *failures: str) -> None:
        """Let the job have these failures, the newest first, and be found so for a while."""
        self.manager.put(job_id, "RESTARTING", 0, failures)
        for _ in range(2):
            await self.submitter.check()
            self.now_s += AFTER_S

    async def published(self) -> Standstill | None:
        """Return what stands in Redis, which must be what the run file says."""
        await self.outage.publish()
        found = await self._redis.get(STANDSTILL)
        standstill = None if found is None else Standstill.from_json(found)
        remark = read_remarks(self._settings.home).get(NOT_RUNNING)
        assert remark == (None if standstill is None else str(standstill))
        return standstill

    def state(self, job_id: str) -> str:
        return str(self.manager.jobs[job_id]["state"])


@pytest.fixture
async def scene(tmp_path: Path, client: Redis) -> AsyncIterator[Scene]:
    manager = JobManager()
    runner = web.AppRunner(manager.application())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    settings = Settings.from_env({"COFFEE_HOME": str(tmp_path), "FLINK_REST_URL": url})
    async with FlinkRest(url) as rest:
        scene = Scene(settings, manager, rest, client)
        yield scene
        await scene.submitter.close()
    await runner.cleanup()


async def test_checkpoints_that_are_damaged_are_refused_one_after_the_other_and_then_the_topic_counts(
    scene: Scene,
) -> None:
    for number in (7, 8):
        scene.checkpoint(number)
    for name in ("chk-8", "chk-7"):
        job = await scene.submit()
        assert scene.begins_with(job) == name
        await scene.fails(job, DAMAGED, DAMAGED, DAMAGED)
        assert scene.state(job) == "CANCELED"
        standstill = await scene.published()
        assert standstill is not None
        assert f"{name} is damaged: FileNotFoundException: /old/place" in standstill.reason
    assert standstill.cure == "the topic is counted from its first record"
    assert scene.begins_with(await scene.submit()) is None


async def test_two_failures_may_be_an_accident(scene: Scene) -> None:
    scene.checkpoint(8)
    job = await scene.submit()
    await scene.fails(job, DAMAGED, DAMAGED, NO_POSTGRES)
    assert scene.state(job) == "RESTARTING"


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (NO_POSTGRES, "PSQLException: Connection to 127.0.0.1:5432 refused."),
        (FULL, "the checkpoint cannot be read: FileNotFoundException: /old/place/shared/e8620dde (No space left"),
    ],
)
async def test_a_job_that_fails_for_another_reason_keeps_its_checkpoint_and_the_reason_is_published(
    scene: Scene, failure: str, reason: str
) -> None:
    scene.checkpoint(8)
    job = await scene.submit()
    await scene.fails(job, *[failure] * 5)
    assert scene.state(job) == "RESTARTING"
    standstill = await scene.published()
    assert standstill is not None
    assert standstill.reason.startswith(reason)
    assert standstill.reason.endswith("(3 times in a row, or more)")


async def test_a_failover_of_a_few_seconds_is_no_standstill(scene: Scene) -> None:
    job = await scene.submit()
    scene.manager.put(job, "RESTARTING", 0, (NO_POSTGRES,))
    await scene.submitter.check()
    scene.now_s += AFTER_S / 2
    assert await scene.published() is None
    scene.manager.put(job, "RUNNING", 2, (NO_POSTGRES,))
    await scene.submitter.check()
    scene.now_s += 2 * AFTER_S
    assert await scene.submitter.check()
    assert await scene.published() is None


async def test_a_standstill_is_withdrawn_once_the_job_has_run_for_a_while(scene: Scene) -> None:
    job = await scene.submit()
    await scene.fails(job, NO_POSTGRES)
    assert await scene.published() is not None
    scene.manager.put(job, "RUNNING", 2, (NO_POSTGRES,))
    assert not await scene.submitter.check()
    # A job that fails every second runs in between.
    assert await scene.published() is not None
    scene.now_s += AFTER_S
    assert await scene.submitter.check()
    assert await scene.published() is None


async def test_a_job_that_fails_every_quarter_of_a_minute_is_out_until_it_completes_a_checkpoint(
    scene: Scene,
) -> None:
    job = await scene.submit()
    for _ in range(3):
        scene.manager.put(job, "RUNNING", 2, (NO_POSTGRES,))
        await scene.submitter.check()
        scene.now_s += 2 * AFTER_S
        ready = await scene.submitter.check()
        scene.manager.put(job, "RESTARTING", 0, (NO_POSTGRES,))
        await scene.submitter.check()
        scene.now_s += 1.0
    assert not ready
    scene.manager.put(job, "RUNNING", 2, (NO_POSTGRES,))
    scene.now_s += 2 * AFTER_S
    assert not await scene.submitter.check()
    assert await scene.published() is not None
    scene.manager.jobs[job]["completed"] = 8
    assert await scene.submitter.check()
    assert await scene.published() is None
    # From then on a failover is what it was.
    scene.manager.put(job, "RESTARTING", 0, (NO_POSTGRES,))
    await scene.submitter.check()
    scene.manager.put(job, "RUNNING", 2, (NO_POSTGRES,))
    assert not await scene.submitter.check()
    scene.now_s += AFTER_S
    assert await scene.submitter.check()


async def test_a_job_that_never_failed_ends_a_standstill_at_once(scene: Scene) -> None:
    await scene.fails(await scene.submit(), NO_POSTGRES)
    assert await scene.published() is not None
    scene.manager.jobs.clear()
    scene.manager.put(await scene.submit(), "RUNNING", 2)
    assert await scene.submitter.check()
    assert await scene.published() is None


async def test_a_job_whose_checkpoint_the_jobmanager_cannot_read_ends_at_once(scene: Scene) -> None:
    scene.checkpoint(8)
    job = await scene.submit()
    scene.manager.put(job, "FAILED", 0, (NO_METADATA,))
    assert scene.begins_with(await scene.submit()) is None


async def test_a_job_that_could_not_begin_for_another_reason_is_tried_again_from_the_same_checkpoint(
    scene: Scene,
) -> None:
    scene.checkpoint(8)
    job = await scene.submit()
    scene.manager.put(job, "FAILED", 0, (FULL,))
    with pytest.raises(JobFailedError, match="No space left on device"):
        await scene.submitter.check()
    assert scene.begins_with(await scene.submit()) == "chk-8"


async def test_a_damaged_block_takes_all_checkpoints_along_that_may_share_its_file(scene: Scene) -> None:
    for number in (7, 8):
        scene.checkpoint(number)
    job = await scene.submit()
    scene.manager.put(job, "RUNNING", 2)
    await scene.submitter.check()
    await scene.fails(job, CORRUPT, CORRUPT, CORRUPT)
    assert scene.begins_with(await scene.submit()) is None


async def test_a_checkpoint_is_refused_in_the_words_of_flink_and_of_whoever_listed_it(scene: Scene) -> None:
    scene.checkpoint(8)
    job = await scene.submit()
    scene.manager.jobs[job]["restored"] = "s3:/bucket/chk-8/"
    await scene.fails(job, DAMAGED, DAMAGED, DAMAGED)
    assert scene.begins_with(await scene.submit()) is None


async def test_where_an_empty_state_fails_likewise_the_checkpoints_are_not_to_blame(scene: Scene) -> None:
    scene.checkpoint(8)
    for name in ("chk-8", None, "chk-8"):
        job = await scene.submit()
        assert scene.begins_with(job) == name
        await scene.fails(job, DAMAGED, DAMAGED, DAMAGED)


async def test_a_running_jobs_own_checkpoint_is_refused_where_it_was_damaged_meanwhile(scene: Scene) -> None:
    job = await scene.submit()
    own = scene.checkpoint(9)
    scene.manager.put(job, "RUNNING", 2)
    await scene.submitter.check()
    scene.manager.jobs[job]["restored"] = f"file:{own}"
    await scene.fails(job, DAMAGED, DAMAGED, DAMAGED)
    assert scene.state(job) == "CANCELED"
    assert scene.begins_with(await scene.submit()) is None


async def test_without_taskmanagers_the_job_says_that_it_waits_for_them(scene: Scene) -> None:
    await scene.submit()
    for _ in range(6):
        await scene.submitter.check()
        scene.now_s += AFTER_S
    standstill = await scene.published()
    assert standstill is not None
    assert standstill.reason.startswith("no TaskManager is registered with Flink at http://127.0.0.1:")
    busy = {"id": "one", "path": "there", "slotsNumber": 1, "freeSlots": 0}
    scene.manager.task_managers = [busy]
    await scene.submitter.check()
    standstill = await scene.published()
    assert standstill is not None
    assert standstill.reason == "the job waits for slots: 0 of 1 in Flink are free"


async def test_a_job_that_is_about_to_get_its_slots_is_no_outage_for_a_minute(scene: Scene) -> None:
    await scene.submit()
    scene.manager.task_managers = [{"id": "one", "path": "there", "slotsNumber": 1, "freeSlots": 1}]
    await scene.submitter.check()
    scene.now_s += 50
    await scene.submitter.check()
    assert await scene.published() is None
    scene.now_s += 20
    await scene.submitter.check()
    standstill = await scene.published()
    assert standstill is not None
    assert standstill.reason == "the job has slots and starts"


@pytest.mark.parametrize("restored", [True, False])
async def test_a_job_that_high_availability_has_recovered_is_adopted(scene: Scene, restored: bool) -> None:
    scene.manager.put("b" * 32, "RUNNING", 2)
    scene.manager.recovered.add("b" * 32)
    scene.manager.jobs["b" * 32]["restored"] = f"file:{scene.folder}/chk-3" if restored else None
    await scene.submitter.check()
    assert (scene.state("b" * 32), scene.manager.submitted) == ("RUNNING", 0)


async def test_one_whose_checkpoints_are_of_an_epoch_before_is_cancelled(scene: Scene) -> None:
    scene.manager.put("b" * 32, "RUNNING", 2)
    scene.manager.recovered.add("b" * 32)
    scene.manager.jobs["b" * 32]["restored"] = f"s3://coffee/checkpoints/epoch-0-0123abcd/{'b' * 32}/chk-3"
    await scene.submitter.check()
    assert scene.state("b" * 32) == "CANCELED"


class Backlog:
    """A running job whose records are counted in Redis as a test says, and a clock."""

    def __init__(self, manager: JobManager, rest: FlinkRest, redis: Redis) -> None:
        self.manager = manager
        self.now_s = 0.0
        self._checkpoints = CheckpointsByVolume(rest, redis, lambda: self.now_s)
        self._redis = redis

    async def checkpoints_at(self, orders: int, duplicates: int = 0, dead: int = 0) -> int:
        """Return how many checkpoints were asked for once so many records are counted, and none is under way."""
        counted = {"shown_orders": orders, "duplicates": duplicates, "dead": dead}
        await self._redis.hset(MetricKeys(V3).counters, mapping=counted)
        await self._checkpoints.check(Job("b" * 32, JOB_NAME, "RUNNING", 1, all_running=True))
        if self._checkpoints.task is not None:
            await self._checkpoints.task
        return self.manager.triggered


@pytest.fixture
def backlog(scene: Scene, client: Redis) -> Backlog:
    return Backlog(scene.manager, scene.rest, client)


async def test_a_checkpoint_is_taken_whenever_so_many_records_have_been_counted(backlog: Backlog) -> None:
    many = CHECKPOINT_EVERY_RECORDS
    assert await backlog.checkpoints_at(5 * many) == 0  # counted before the submitter began
    assert await backlog.checkpoints_at(6 * many - 1) == 0
    assert await backlog.checkpoints_at(6 * many) == 1
    assert await backlog.checkpoints_at(7 * many - 1) == 1
    assert await backlog.checkpoints_at(9 * many) == 2


async def test_repeats_and_dead_letters_are_read_again_like_orders(backlog: Backlog) -> None:
    third = CHECKPOINT_EVERY_RECORDS // 3 + 1
    assert await backlog.checkpoints_at(0) == 0
    assert await backlog.checkpoints_at(third, third) == 0
    assert await backlog.checkpoints_at(third, third, third) == 1


async def test_of_fewer_records_in_its_interval_the_job_takes_a_checkpoint_by_itself(backlog: Backlog) -> None:
    for number in range(4):
        assert await backlog.checkpoints_at(number * (CHECKPOINT_EVERY_RECORDS - 1)) == 0
        backlog.now_s += CHECKPOINT_EVERY_S


async def test_after_a_flush_of_redis_records_are_counted_from_what_is_left(backlog: Backlog) -> None:
    many = CHECKPOINT_EVERY_RECORDS
    assert await backlog.checkpoints_at(5 * many) == 0
    assert await backlog.checkpoints_at(0) == 0
    assert await backlog.checkpoints_at(many) == 1


async def test_a_checkpoint_that_fails_is_asked_for_again_after_as_many_records(backlog: Backlog) -> None:
    backlog.manager.completes = False
    assert await backlog.checkpoints_at(0) == 0
    assert await backlog.checkpoints_at(CHECKPOINT_EVERY_RECORDS) == 1
    assert await backlog.checkpoints_at(2 * CHECKPOINT_EVERY_RECORDS) == 2


async def test_a_running_job_has_its_checkpoints_by_volume(scene: Scene, client: Redis) -> None:
    scene.manager.put("b" * 32, "RUNNING", 2)
    for records in (0, CHECKPOINT_EVERY_RECORDS):
        await client.hset(MetricKeys(V3).counters, "shown_orders", str(records))
        await scene.submitter.check()
    await until(lambda: scene.manager.triggered == 1)
