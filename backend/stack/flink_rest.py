"""Questions to Flink's REST API that never raise: a part asks itself whether it is ready."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from backend.stack.probe import http_get

Question = Callable[[], Awaitable[bool]]


async def _get(base: str, path: str) -> dict[str, Any]:
    """Return the answer, or nothing where there is none."""
    try:
        answer: dict[str, Any] = json.loads(await http_get(f"{base}{path}") or "{}")
    except ValueError:  # cut short
        return {}
    return answer


async def answers(base: str) -> bool:
    """Tell whether a JobManager serves its REST API there."""
    return "taskmanagers" in await _get(base, "/overview")


async def task_managers(base: str) -> dict[str, str]:
    """Return the TaskManagers that are registered, id → address; a restarted one has another address."""
    return {each["id"]: each["path"] for each in (await _get(base, "/taskmanagers")).get("taskmanagers", [])}


async def job_runs(base: str, name: str) -> bool:
    """Tell whether a job of this name runs with all of its tasks running."""
    return any(
        job["name"] == name and job["state"] == "RUNNING" and job["tasks"]["running"] == job["tasks"]["total"]
        for job in (await _get(base, "/jobs/overview")).get("jobs", [])
    )
