"""Flink's REST API, as far as the submitter needs it."""

from dataclasses import dataclass
from typing import Any

import aiohttp

_TIMEOUT = aiohttp.ClientTimeout(total=5)
_ENDED = {"FAILED", "CANCELED", "FINISHED", "SUSPENDED"}


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
        return self.state not in _ENDED


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

    async def free_slots(self) -> int:
        """Return the number of slots that are free now."""
        async with self._session.get(f"{self._base}/overview") as response:
            slots: int = (await response.json())["slots-available"]
        return slots

    async def cancel(self, job: Job) -> None:
        """Ask for the end of a job."""
        async with self._session.patch(f"{self._base}/jobs/{job.id}", params={"mode": "cancel"}):
            pass


def _job(listed: dict[str, Any]) -> Job:
    tasks = listed["tasks"]
    all_running = listed["state"] == "RUNNING" and tasks["running"] == tasks["total"]
    return Job(listed["jid"], listed["name"], listed["state"], listed["start-time"], all_running)
