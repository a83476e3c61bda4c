"""The client of Flink's REST API, before a server that answers as a JobManager does."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from flink.options import JOB_NAME
from flink.rest import FlinkOperationError, FlinkRest, FlinkUnavailableError, Job, JobStart, TaskManager

JOB = Job("a" * 32, JOB_NAME, "RUNNING", 1, all_running=True)


@asynccontextmanager
async def flink(answers: dict[str, list[Any]]) -> AsyncIterator[FlinkRest]:
    """Speak to what gives these answers: ``METHOD path`` → the JSON of each call, the last one for ever."""

    async def handle(request: web.Request) -> web.Response:
        given = answers.get(f"{request.method} {request.path}")
        if given is None:
            return web.Response(status=404)
        return web.json_response(given.pop(0) if len(given) > 1 else given[0])

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with FlinkRest(f"http://127.0.0.1:{runner.addresses[0][1]}") as client:
            yield client
    finally:
        await runner.cleanup()


def listed(job_id: str, name: str, start_ms: int, running: int = 2, state: str = "RUNNING") -> dict[str, Any]:
    tasks = {"running": running, "total": 2}
    return {"jid": job_id, "name": name, "state": state, "start-time": start_ms, "tasks": tasks}


def test_a_task_manager_is_busy_once_all_that_it_has_is_taken() -> None:
    assert TaskManager("one", "here", slots=2, free_slots=0).busy
    assert not TaskManager("one", "here", slots=2, free_slots=1).busy


def test_one_that_has_not_reported_its_slots_yet_does_no_work() -> None:
    assert not TaskManager("one", "here", slots=0, free_slots=0).busy


async def test_the_jobs_of_the_orders_are_listed_newest_first_and_the_warm_up_is_none_of_them() -> None:
    jobs = [listed("old", JOB_NAME, 1), listed("warm", "coffee-warm-up", 3), listed("new", JOB_NAME, 2, running=1)]
    async with flink({"GET /jobs/overview": [{"jobs": jobs}]}) as client:
        found = await client.jobs()
    assert [(job.id, job.all_running) for job in found] == [("new", False), ("old", True)]


async def test_what_is_no_good_answer_is_one_error_with_its_status() -> None:
    async with flink({}) as client:
        with pytest.raises(FlinkUnavailableError, match="404") as missing:
            await client.jobs()
        assert missing.value.status == 404
    with pytest.raises(FlinkUnavailableError) as nobody:
        async with FlinkRest("http://127.0.0.1:9") as client:
            await client.serves()
    assert nobody.value.status is None


async def test_a_server_that_hangs_is_unavailable_after_the_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        async with FlinkRest(f"http://127.0.0.1:{server.getsockname()[1]}", 0.05) as client:
            with pytest.raises(FlinkUnavailableError, match="TimeoutError"):
                await client.serves()


@pytest.mark.parametrize(("stop", "trigger"), [(False, "savepoints"), (True, "stop")])
async def test_a_savepoint_is_waited_for(stop: bool, trigger: str) -> None:
    path = f"/jobs/{JOB.id}/savepoints/7"
    done = {"status": {"id": "COMPLETED"}, "operation": {"location": "s3://b/savepoint-1"}}
    answers = {
        f"POST /jobs/{JOB.id}/{trigger}": [{"request-id": "7"}],
        f"GET {path}": [{"status": {"id": "IN_PROGRESS"}}, done],
    }
    async with flink(answers) as client:
        assert await client.savepoint(JOB, "s3://b", stop=stop) == "s3://b/savepoint-1"


async def test_what_flink_cannot_complete_is_an_error_with_the_first_line_of_its_cause() -> None:
    failed = {
        "status": {"id": "COMPLETED"},
        "operation": {"failure-cause": {"stack-trace": "no space left\n\tat somewhere"}},
    }
    not_done = {"status": {"id": "COMPLETED"}, "operation": {"failureCause": {"class": "E"}}}
    answers = {
        f"POST /jobs/{JOB.id}/savepoints": [{"request-id": "7"}],
        f"GET /jobs/{JOB.id}/savepoints/7": [failed],
        f"POST /jobs/{JOB.id}/checkpoints": [{"request-id": "8"}],
        f"GET /jobs/{JOB.id}/checkpoints/8": [not_done],
    }
    async with flink(answers) as client:
        with pytest.raises(FlinkOperationError, match=r"the savepoint: no space left$"):
            await client.savepoint(JOB, "s3://b", stop=False)
        with pytest.raises(FlinkOperationError, match="the checkpoint"):
            await client.checkpoint(JOB)


async def test_the_taskmanagers_of_a_job_are_named_once_each() -> None:
    on_one, on_two = ({"taskmanagers": [{"taskmanager-id": name}]} for name in ("one", "two"))
    answers = {
        f"GET /jobs/{JOB.id}": [{"vertices": [{"id": "x"}, {"id": "y"}, {"id": "z"}]}],
        f"GET /jobs/{JOB.id}/vertices/x/taskmanagers": [on_two],
        f"GET /jobs/{JOB.id}/vertices/y/taskmanagers": [on_one],
        f"GET /jobs/{JOB.id}/vertices/z/taskmanagers": [on_two],
    }
    async with flink(answers) as client:
        assert await client.task_managers_of(JOB) == ["two", "one"]


async def test_a_job_has_begun_when_the_last_of_its_tasks_has() -> None:
    def task(start_ms: int, deploying: int, initializing: int) -> dict[str, Any]:
        took = {"SCHEDULED": 7, "DEPLOYING": deploying, "INITIALIZING": initializing, "RUNNING": 1_000_000}
        return {"start-time": start_ms, "status-duration": took}

    answers = {
        f"GET /jobs/{JOB.id}": [{"vertices": [{"id": "one"}, {"id": "two"}]}],
        f"GET /jobs/{JOB.id}/vertices/one": [{"subtasks": [task(3_000, 100, 2_000), task(3_500, 0, 0)]}],
        f"GET /jobs/{JOB.id}/vertices/two": [{"subtasks": [task(3_200, 500, 100)]}],
    }
    async with flink(answers) as client:
        assert await client.started(JOB) == JobStart(submitted_s=0.001, deployed_s=3.5, runs_s=5.1)
