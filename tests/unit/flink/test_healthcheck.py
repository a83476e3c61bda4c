"""The health of Flink's containers, before a server that answers as a JobManager does."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from flink import healthcheck
from tests.servers import free_port


@pytest.fixture
async def job_manager(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """A JobManager with the TaskManager ``one``, under the URL of the settings."""

    async def answer(_: web.Request) -> web.Response:
        return web.json_response({})

    application = web.Application()
    application.router.add_get("/overview", answer)
    application.router.add_get("/taskmanagers/one", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    monkeypatch.setenv("FLINK_REST_URL", f"http://127.0.0.1:{runner.addresses[0][1]}")
    yield
    await runner.cleanup()


async def checked(*arguments: str) -> int:
    return await asyncio.to_thread(healthcheck.main, [*arguments])


@pytest.mark.usefixtures("job_manager")
async def test_it_is_well_where_the_job_manager_answers_and_knows_the_task_manager() -> None:
    assert await checked() == 0
    assert await checked("one") == 0


@pytest.mark.usefixtures("job_manager")
async def test_a_task_manager_that_is_not_registered_is_not_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert await checked("two") == 1
    assert capsys.readouterr().err == "Flink: two is not registered\n"


async def test_nothing_is_well_where_nobody_answers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FLINK_REST_URL", f"http://127.0.0.1:{free_port()}")
    assert await checked() == await checked("one") == 1
    assert "Connection refused" in capsys.readouterr().err
