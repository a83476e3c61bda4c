"""The client of Flink's REST API, for the submitter, for savepoints, and for the lab."""

import asyncio
import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from operator import itemgetter
from pathlib import Path
from typing import Any, Self

from coffee_core.errors import CoffeeError
from coffee_core.server_urls import HttpUrl
from flink.failures import Failure, refusal, root_cause
from flink.options import JOB_NAME, PLANNED_JOB_ID

_TIMEOUT_S = 5.0
_SUBMIT_TIMEOUT_S = 60.0
_OPERATION_WITHIN_S = 300.0
_OPERATION_STEP_S = 0.1
_PLAN_NAME = "plan"
ENDED = frozenset({"FAILED", "CANCELED", "FINISHED", "SUSPENDED"})
"""States in which a job stays."""


class FlinkUnavailableError(CoffeeError):
    """Flink's REST API gave no good answer."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        """HTTP status; None where there was no answer at all."""


class FlinkOperationError(CoffeeError):
    """Flink could not complete a savepoint or a checkpoint."""


class RefusedError(CoffeeError):
    """Flink did not take a job."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job as the JobManager lists it."""

    id: str
    name: str
    state: str
    """State as Flink names it: RUNNING, RESTARTING, FAILED …"""
    start_ms: int
    """When it was submitted: milliseconds since the epoch."""
    all_running: bool
    """Every task runs; a job that is RUNNING may still be deploying its tasks."""
    scheduled: int = 0
    """Tasks that wait for a slot."""

    @property
    def active(self) -> bool:
        """It runs, or will run again by itself."""
        return self.state not in ENDED


@dataclass(frozen=True, slots=True)
class JobStart:
    """When a job began: seconds since the epoch."""

    submitted_s: float
    deployed_s: float
    """All of its tasks had slots."""
    runs_s: float
    """All of them were restored and ran."""


@dataclass(frozen=True, slots=True)
class TaskManager:
    """A TaskManager as the JobManager lists it."""

    id: str
    """Its name, which a restart keeps."""
    address: str
    """The address of its process; a restarted one has another."""
    slots: int
    """0 before it has reported them, just after its registration."""
    free_slots: int

    @property
    def busy(self) -> bool:
        """All of its slots are taken."""
        return self.slots > 0 and self.free_slots == 0


class FlinkRest:
    """A client, also an asynchronous context manager. Its methods raise FlinkUnavailableError."""

    def __init__(self, base: str, timeout_s: float = _TIMEOUT_S) -> None:
        # Imported here: it takes a quarter of a second, and the lab's processes import this module.
        import aiohttp

        # The login in a header: an error repeats the URL.
        to = HttpUrl.parse(base)
        self._base = to.base
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=timeout_s), raise_for_status=True, headers=to.authorization
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def serves(self) -> bool:
        """Return whether this is a JobManager."""
        return "taskmanagers" in await self._ask("GET", "/overview")

    async def jobs(self, name: str = JOB_NAME) -> list[Job]:
        """Return the jobs of this name, the newest first: the warm-up of the standby is a running job, too."""
        listed = (await self._ask("GET", "/jobs/overview"))["jobs"]
        jobs = [_job(entry) for entry in listed if entry["name"] == name]
        return sorted(jobs, key=lambda job: -job.start_ms)

    async def state(self, job_id: str) -> str:
        """Return the state of a job."""
        return str((await self._ask("GET", f"/jobs/{job_id}"))["state"])

    async def parameter(self, job: Job, name: str) -> str | None:
        """Return a parameter of a job, '' if it has others alone, None where Flink knows none of its parameters.

        It does not know them yet, or no more: of a job that high availability has recovered it shows none.
        """
        configuration = (await self._ask("GET", f"/jobs/{job.id}/config")).get("execution-config")
        parameters = {} if configuration is None else configuration["user-config"]
        return str(parameters.get(name, "")) if parameters else None

    async def failures(self, job_id: str) -> list[Failure]:
        """Return what a job has failed by, the newest first; Flink keeps the last 16."""
        history = (await self._ask("GET", f"/jobs/{job_id}/exceptions"))["exceptionHistory"]
        return [Failure(str(entry["stacktrace"])) for entry in history["entries"]]

    async def restored_from(self, job_id: str) -> str | None:
        """Return the URI of the checkpoint that a job was last restored from, None where it began with nothing."""
        restored = (await self._ask("GET", f"/jobs/{job_id}/checkpoints"))["latest"]["restored"]
        return None if restored is None else str(restored["external_path"])

    async def task_managers(self) -> list[TaskManager]:
        """Return the TaskManagers that are registered."""
        listed = (await self._ask("GET", "/taskmanagers"))["taskmanagers"]
        return [_task_manager(entry) for entry in listed]

    async def task_managers_of(self, job: Job) -> list[str]:
        """Return the names of the TaskManagers on which a job's tasks are, that of its first task first."""
        names = []
        for vertex in (await self._ask("GET", f"/jobs/{job.id}"))["vertices"]:
            found = await self._ask("GET", f"/jobs/{job.id}/vertices/{vertex['id']}/taskmanagers")
            names += [str(entry["taskmanager-id"]) for entry in found["taskmanagers"]]
        return list(dict.fromkeys(names))

    async def started(self, job: Job) -> JobStart:
        """Return when a job began that runs, at its first start or, since, at its last one."""
        deployed, runs = [], []
        for vertex in (await self._ask("GET", f"/jobs/{job.id}"))["vertices"]:
            for task in (await self._ask("GET", f"/jobs/{job.id}/vertices/{vertex['id']}"))["subtasks"]:
                took = task["status-duration"]
                deployed.append(task["start-time"])
                runs.append(task["start-time"] + took["DEPLOYING"] + took["INITIALIZING"])
        return JobStart(job.start_ms / 1000, max(deployed) / 1000, max(runs) / 1000)

    async def submit(self, plan: Path) -> str:
        """Submit a planned job under a new id and return it.

        Raises RefusedError where Flink does not take it. Its plan, which may be unreadable, is then removed, so
        that a client makes it again.
        """
        import aiohttp

        job_id, body = uuid.uuid4().hex, await asyncio.to_thread(plan.read_bytes)
        form = aiohttp.FormData()
        names = {"executionPlanFileName": _PLAN_NAME, "jobJarFileNames": [], "jobArtifactFileNames": []}
        form.add_field("request", json.dumps(names), content_type="application/json")
        form.add_field(
            "file_0", _with_job_id(body, job_id), filename=_PLAN_NAME, content_type="application/octet-stream"
        )
        timeout = aiohttp.ClientTimeout(total=_SUBMIT_TIMEOUT_S)
        with _as_unavailable():
            async with self._session.post(
                f"{self._base}/v1/jobs", data=form, timeout=timeout, raise_for_status=False
            ) as response:
                status, answer = response.status, "" if response.ok else await response.text()
        if status >= HTTPStatus.BAD_REQUEST:
            await asyncio.to_thread(plan.unlink, missing_ok=True)
            raise RefusedError(f"Flink refused the job: {status}, {refusal(answer)}")
        return job_id

    async def cancel(self, job: Job) -> None:
        """Ask for the end of a job."""
        await self._ask("PATCH", f"/jobs/{job.id}", params={"mode": "cancel"})

    async def latest_checkpoint(self, job_id: str) -> str | None:
        """Return the URI of the newest completed checkpoint or savepoint of a job, None where there is none."""
        try:
            latest = (await self._ask("GET", f"/jobs/{job_id}/checkpoints"))["latest"]
        except FlinkUnavailableError as error:
            if error.status == HTTPStatus.NOT_FOUND:  # a job that ended before it had any
                return None
            raise
        completed = [latest[kind] for kind in ("completed", "savepoint") if latest.get(kind) is not None]
        return str(max(completed, key=itemgetter("id"))["external_path"]) if completed else None

    async def checkpoint(self, job: Job) -> None:
        """Have a job complete a checkpoint now. Raises FlinkOperationError where it does not."""
        operation = await self._operate(job, "checkpoints", {}, "checkpoints")
        if "failureCause" in operation:
            cause = root_cause(str(operation["failureCause"].get("stack-trace", "")))
            raise FlinkOperationError(f"Flink could not complete the checkpoint: {cause}")

    async def savepoint(self, job: Job, folder: str, *, stop: bool) -> str:
        """Return the URI of a new savepoint below this URI; with ``stop`` the job ends with it.

        Raises FlinkOperationError where Flink cannot complete it: the job then runs on.
        """
        if stop:
            request = {"targetDirectory": folder, "drain": False}
            operation = await self._operate(job, "stop", request, "savepoints")
        else:
            request = {"target-directory": folder, "cancel-job": False}
            operation = await self._operate(job, "savepoints", request, "savepoints")
        if "location" not in operation:
            cause = root_cause(str(operation["failure-cause"].get("stack-trace", "")))
            raise FlinkOperationError(f"Flink could not complete the savepoint: {cause}")
        return str(operation["location"])

    async def _operate(self, job: Job, trigger: str, request: dict[str, Any], kind: str) -> dict[str, Any]:
        """Trigger an operation that Flink does in the background, and return how it ended."""
        asked = await self._ask("POST", f"/jobs/{job.id}/{trigger}", json=request)
        give_up_at = time.monotonic() + _OPERATION_WITHIN_S
        while time.monotonic() < give_up_at:
            answer = await self._ask("GET", f"/jobs/{job.id}/{kind}/{asked['request-id']}")
            if answer["status"]["id"] == "COMPLETED":
                operation: dict[str, Any] = answer["operation"]
                return operation
            await asyncio.sleep(_OPERATION_STEP_S)
        name = kind.removesuffix("s")
        raise FlinkOperationError(
            f"the {name} is not complete after {_OPERATION_WITHIN_S:.0f} s: see the log of the JobManager"
        )

    async def _ask(self, method: str, path: str, **options: Any) -> Any:
        """Return the JSON of the answer."""
        with _as_unavailable():
            async with self._session.request(method, f"{self._base}{path}", **options) as response:
                return await response.json()


@contextmanager
def _as_unavailable() -> Iterator[None]:
    import aiohttp

    try:
        yield
    except aiohttp.ClientResponseError as error:
        raise FlinkUnavailableError(str(error), error.status) from error
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        raise FlinkUnavailableError(str(error) or type(error).__name__) from error


def _job(listed: dict[str, Any]) -> Job:
    tasks = listed["tasks"]
    all_running = listed["state"] == "RUNNING" and tasks["running"] == tasks["total"]
    scheduled = int(tasks.get("scheduled", 0))
    return Job(listed["jid"], listed["name"], listed["state"], listed["start-time"], all_running, scheduled)


def _task_manager(listed: dict[str, Any]) -> TaskManager:
    return TaskManager(listed["id"], listed["path"], listed["slotsNumber"], listed["freeSlots"])


def _with_job_id(plan: bytes, job_id: str) -> bytes:
    """Return a plan with this job's id, as text and as bytes, in place of the one that it was made with."""
    planned, wanted = bytes.fromhex(PLANNED_JOB_ID), bytes.fromhex(job_id)
    return plan.replace(planned, wanted).replace(PLANNED_JOB_ID.encode(), job_id.encode())
