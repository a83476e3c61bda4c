"""Flink's REST API, as far as the submitter needs it."""

from dataclasses import dataclass
from typing import Any

import aiohttp

_TIMEOUT = aiohttp.ClientTimeout(total=5)
ENDED = frozenset({"FAILED", "CANCELED", "FINISHED", "SUSPENDED"})
"""States in which a job stays."""


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

    async def free_slots(self) -> dict[str, int]:
        """Return address → free slots of every TaskManager; a restarted one has another address."""
        async with self._session.get(f"{self._base}/taskmanagers") as response:
            managers = (await response.json())["taskmanagers"]
        return {manager["path"]: manager["freeSlots"] for manager in managers}

    async def cancel(self, job: Job) -> None:
        """Ask for the end of a job."""
        async with self._session.patch(f"{self._base}/jobs/{job.id}", params={"mode": "cancel"}):
            pass


def _job(listed: dict[str, Any]) -> Job:
    tasks = listed["tasks"]
    all_running = listed["state"] == "RUNNING" and tasks["running"] == tasks["total"]
    return Job(listed["jid"], listed["name"], listed["state"], listed["start-time"], all_running)
