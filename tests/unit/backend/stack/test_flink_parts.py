"""When the parts of Flink are ready, by what the REST API of a given cluster answers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from backend.stack.flink import job_manager, submitter, task_manager
from backend.stack.part import Part
from coffee_core.settings import Settings
from flink.options import JOB_NAME

NOBODY = "http://127.0.0.1:9"


@asynccontextmanager
async def cluster(answer: Any) -> AsyncIterator[str]:
    """Serve one answer under every path; yield the URL."""

    async def handle(_request: web.Request) -> web.Response:
        return web.json_response(answer)

    application = web.Application()
    application.router.add_get("/{path:.*}", handle)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def parts(url: str, home: Path) -> list[Part]:
    settings = Settings.from_env({"COFFEE_HOME": str(home), "FLINK_REST_URL": url})
    return [job_manager(settings), task_manager(settings, 1), submitter(settings)]


async def readiness(answer: Any, home: Path) -> list[bool]:
    async with cluster(answer) as url:
        return [await part.ready() for part in parts(url, home)]


async def test_the_cluster_is_ready_when_its_taskmanagers_are_registered(tmp_path: Path) -> None:
    manager = {"id": "one", "path": "pekko://one", "slotsNumber": 1, "freeSlots": 1}
    assert await readiness({"taskmanagers": [manager], "jobs": []}, tmp_path) == [True, True, False]
    assert await readiness({"taskmanagers": [], "jobs": []}, tmp_path) == [True, False, False]


@pytest.mark.parametrize(
    ("name", "state", "running", "ready"),
    [
        (JOB_NAME, "RUNNING", 2, True),
        (JOB_NAME, "RUNNING", 1, False),
        (JOB_NAME, "RESTARTING", 2, False),
        ("another", "RUNNING", 2, False),
    ],
)
async def test_the_submitter_is_ready_when_every_task_of_its_job_runs(
    tmp_path: Path, name: str, state: str, running: int, ready: bool
) -> None:
    tasks = {"running": running, "total": 2}
    job = {"jid": "a", "name": name, "state": state, "start-time": 1, "tasks": tasks}
    assert (await readiness({"taskmanagers": [], "jobs": [job]}, tmp_path))[2] is ready


@pytest.mark.parametrize("answer", [{}, [], None, {"errors": ["no leader"]}])
async def test_another_program_in_its_place_is_not_ready_and_raises_nothing(tmp_path: Path, answer: Any) -> None:
    assert await readiness(answer, tmp_path) == [False, False, False]


async def test_nobody_in_its_place_is_not_ready_and_raises_nothing(tmp_path: Path) -> None:
    assert [await part.ready() for part in parts(NOBODY, tmp_path)] == [False, False, False]
