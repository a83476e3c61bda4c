"""Flink's REST API, as far as the submitter needs it."""

import asyncio
import json
import uuid
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp

from coffee_core.errors import CoffeeError
from flink.options import PLANNED_JOB_ID

_TIMEOUT = aiohttp.ClientTimeout(total=5)
_SUBMIT_TIMEOUT = aiohttp.ClientTimeout(total=60)
_PLAN_NAME = "plan"
_SAID_CHARACTERS = 2_000
ENDED = frozenset({"FAILED", "CANCELED", "FINISHED", "SUSPENDED"})
"""States in which a job stays."""


class RefusedError(CoffeeError):
    """Flink did not take a job."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job as the JobManager lists it."""

    id: str
    name: str
    state: str
    """Flink's own word: RUNNING, RESTARTING, FAILED …"""
    start_ms: int
    """When it was submitted: milliseconds since the epoch."""
    all_running: bool
    """Every task runs; a job that is RUNNING may still be deploying its tasks."""

    @property
    def active(self) -> bool:
        """It runs, or will run again by itself."""
        return self.state not in ENDED


@dataclass(frozen=True, slots=True)
class TaskManager:
    """A TaskManager as the JobManager lists it."""

    id: str
    """Its name, for good."""
    address: str
    """The address of its process; a restarted one has another."""
    slots: int
    """0 before it has reported them, just after its registration."""
    free_slots: int

    @property
    def busy(self) -> bool:
        """All that it has is taken."""
        return self.slots > 0 and self.free_slots == 0


class FlinkRest:
    """A client. Its methods raise aiohttp.ClientError and TimeoutError where there is no good answer."""

    def __init__(self, base: str) -> None:
        self._base = base
        self._session = aiohttp.ClientSession(timeout=_TIMEOUT, raise_for_status=True)

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def jobs(self, name: str) -> list[Job]:
        """Return the jobs of this name, the newest first."""
        async with self._session.get(f"{self._base}/jobs/overview") as response:
            listed: list[dict[str, Any]] = (await response.json())["jobs"]
        jobs = [_job(each) for each in listed if each["name"] == name]
        return sorted(jobs, key=lambda job: -job.start_ms)

    async def state(self, job_id: str) -> str:
        """Return the state of a job."""
        async with self._session.get(f"{self._base}/jobs/{job_id}") as response:
            state: str = (await response.json())["state"]
        return state

    async def parameter(self, job: Job, name: str) -> str | None:
        """Return a parameter of a job, '' if it has none of that name, None while Flink cannot tell yet."""
        async with self._session.get(f"{self._base}/jobs/{job.id}/config") as response:
            configuration = (await response.json()).get("execution-config")
        return None if configuration is None else str(configuration["user-config"].get(name, ""))

    async def checkpoint(self, job_id: str) -> str | None:
        """Return the URI of the newest completed checkpoint or savepoint of a job, None where there is none."""
        url = f"{self._base}/jobs/{job_id}/checkpoints"
        async with self._session.get(url, raise_for_status=False) as response:
            if response.status == HTTPStatus.NOT_FOUND:  # a job that never came so far as to have any
                return None
            response.raise_for_status()
            latest: dict[str, Any] = (await response.json())["latest"]
        done = [each for kind in ("completed", "savepoint") if (each := latest.get(kind)) is not None]
        return str(max(done, key=lambda each: each["id"])["external_path"]) if done else None

    async def has_failed_by(self, job_id: str, exception: str) -> bool:
        """Tell whether an exception of this class is among those for which a job was last restarted."""
        async with self._session.get(f"{self._base}/jobs/{job_id}/exceptions") as response:
            return exception in await response.text()

    async def task_managers(self) -> list[TaskManager]:
        """Return the TaskManagers that are registered."""
        async with self._session.get(f"{self._base}/taskmanagers") as response:
            managers = (await response.json())["taskmanagers"]
        return [_task_manager(each) for each in managers]

    async def task_managers_of(self, job: Job) -> list[str]:
        """Return the names of the TaskManagers that run the tasks of a job, in the order of its tasks."""
        async with self._session.get(f"{self._base}/jobs/{job.id}") as response:
            vertices = (await response.json())["vertices"]
        names: list[str] = []
        for vertex in vertices:
            path = f"/jobs/{job.id}/vertices/{vertex['id']}/taskmanagers"
            async with self._session.get(f"{self._base}{path}") as response:
                managers = (await response.json())["taskmanagers"]
            names += [str(manager["taskmanager-id"]) for manager in managers]
        return names

    async def complete_checkpoint(self, job: Job, step_s: float = 0.05) -> bool:
        """Have a job take a checkpoint and wait until it has ended; return whether it was completed."""
        url = f"{self._base}/jobs/{job.id}/checkpoints"
        async with self._session.post(url, json={}) as response:
            trigger = (await response.json())["request-id"]
        while True:
            async with self._session.get(f"{url}/{trigger}") as response:
                answer = await response.json()
            if answer["status"]["id"] == "COMPLETED":
                return "failureCause" not in answer["operation"]
            await asyncio.sleep(step_s)

    async def submit(self, plan: Path) -> str:
        """Submit a planned job under a new id and return it.

        Raises RefusedError where Flink does not take it. A plan of which it cannot make sense is removed: the next
        one comes from a client again.
        """
        job_id, body = uuid.uuid4().hex, await asyncio.to_thread(plan.read_bytes)
        form = aiohttp.FormData()
        names = {"executionPlanFileName": _PLAN_NAME, "jobJarFileNames": [], "jobArtifactFileNames": []}
        form.add_field("request", json.dumps(names), content_type="application/json")
        form.add_field(
            "file_0", _under(job_id, body), filename=_PLAN_NAME, content_type="application/octet-stream"
        )
        async with self._session.post(
            f"{self._base}/v1/jobs", data=form, timeout=_SUBMIT_TIMEOUT, raise_for_status=False
        ) as response:
            if response.status == HTTPStatus.BAD_REQUEST:
                await asyncio.to_thread(plan.unlink, missing_ok=True)
            if not response.ok:
                said = (await response.text())[:_SAID_CHARACTERS]
                raise RefusedError(f"Flink refused the job: {response.status} {said}")
        return job_id

    async def cancel(self, job: Job) -> None:
        """Ask for the end of a job."""
        async with self._session.patch(f"{self._base}/jobs/{job.id}", params={"mode": "cancel"}):
            pass


def _under(job_id: str, plan: bytes) -> bytes:
    """Return a plan with this job's id, as text and as bytes, in place of the one that it was made with."""
    planned, wanted = bytes.fromhex(PLANNED_JOB_ID), bytes.fromhex(job_id)
    return plan.replace(planned, wanted).replace(PLANNED_JOB_ID.encode(), job_id.encode())


def _task_manager(listed: dict[str, Any]) -> TaskManager:
    return TaskManager(listed["id"], listed["path"], listed["slotsNumber"], listed["freeSlots"])


def _job(listed: dict[str, Any]) -> Job:
    tasks = listed["tasks"]
    all_running = listed["state"] == "RUNNING" and tasks["running"] == tasks["total"]
    return Job(listed["jid"], listed["name"], listed["state"], listed["start-time"], all_running)
