"""The compose file for real: its images, its containers, what breaks in them, and an exact audit after each."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator

import pytest
from aiohttp import ClientSession, WSMsgType

from coffee_core.keys import MetricKeys
from coffee_core.pipelines import DEFAULT_PIPELINES
from tests.e2e.containers import Project, find_engine
from tests.outside.base_images import NoBaseImagesError, ensure_base_images
from tests.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
ORDERS = 60


@pytest.fixture(scope="module")
def project() -> Iterator[Project]:
    """Everything, up: built by the compose file itself. Nothing is left of it but the images."""
    engine = find_engine()
    if engine is None:
        pytest.skip("no container engine: no Docker daemon with the compose plugin answers")
    try:
        ensure_base_images(engine)
    except NoBaseImagesError as error:
        pytest.skip(f"no base images: {error}")
    project = Project(engine)
    try:
        project.compose("build")
        project.up()
        yield project
    finally:
        project.compose("down", "--volumes", "--timeout", "30")


@pytest.fixture(autouse=True)
async def exact(project: Project) -> AsyncIterator[None]:
    """After each test every order that was accepted is stored and shown once, and no other."""
    yield

    def nothing_waits() -> bool:
        accounts = project.audit()
        for pipeline, account in accounts.items():
            assert account["balanced"], account
            assert account["accepted"] <= project.sent[pipeline], account
        return all(account["shown"]["orders"] == project.sent[name] for name, account in accounts.items())

    await until(lambda: asyncio.to_thread(nothing_waits), 120)


async def test_three_curls_and_six_keys_of_each(project: Project) -> None:
    order = '{"drink":"cappuccino","store":"downtown","price":4.50,"timestamp":"2025-01-15T10:00:00Z"}'
    for pipeline in DEFAULT_PIPELINES:
        command = ["curl", "--silent", "--show-error", "--fail", "--request", "POST", "--data", order]
        header = ["--header", "Content-Type: application/json", f"{project.api}/api/{pipeline}/order"]
        await asyncio.to_thread(subprocess.run, [*command, *header], check=True, capture_output=True)
        project.sent[pipeline] += 1
    for pipeline in DEFAULT_PIPELINES:
        keys = MetricKeys(pipeline).metrics

        def shown(*keys: str) -> bool:
            return project.compose("exec", "--no-TTY", "redis", "valkey-cli", "exists", *keys).strip() == "6"

        await until(lambda keys=keys: asyncio.to_thread(shown, *keys), 60)  # type: ignore[misc]


async def test_nothing_runs_as_root_or_with_a_capability(project: Project) -> None:
    for container in project.compose("ps", "--all", "--quiet").split():
        config = project.inspect(container)
        name = config["Name"]
        assert config["Config"]["User"] not in ("", "0", "root"), name
        assert config["HostConfig"]["CapDrop"] == ["ALL"], name
        assert config["HostConfig"]["Memory"] > 0, name


async def test_a_worker_that_is_killed(project: Project) -> None:
    (worker,) = project.containers("stream-worker")
    sending = asyncio.create_task(project.send(ORDERS))
    project.crash(worker)
    await sending
    await until(lambda: asyncio.to_thread(project.is_back, worker), 120)


async def test_the_task_manager_that_works_is_killed(project: Project) -> None:
    await project.send(ORDERS)
    async with ClientSession(project.flink) as session, session.get("/taskmanagers") as answer:
        managers = (await answer.json())["taskmanagers"]
    (busy,) = [each["id"] for each in managers if not each["freeSlots"]]
    (container,) = [each for each in project.containers("flink-taskmanager") if each.startswith(busy)]
    sending = asyncio.create_task(project.send(ORDERS))
    project.crash(container)
    await sending
    await until(lambda: asyncio.to_thread(project.is_back, container), 120)


async def test_down_and_up(project: Project) -> None:
    await project.send(ORDERS)
    before = project.anonymous_volumes()
    await asyncio.to_thread(project.compose, "down", "--timeout", "30")
    await asyncio.to_thread(project.up)
    assert project.anonymous_volumes() <= before
    await project.send(ORDERS)


async def test_three_workers(project: Project) -> None:
    await asyncio.to_thread(project.up, "--no-recreate", "--scale", "stream-worker=3")
    assert len(project.containers("stream-worker")) == 3
    await project.send(5 * ORDERS)


async def test_the_dashboard_shows_it_without_a_warning(project: Project) -> None:
    seen, shown = b"", f"{project.sent['v2']:,}".encode()
    async with ClientSession(project.dashboard) as session:
        async with session.get("/") as page:
            assert page.status == 200
        headers = {"Origin": project.dashboard}
        async with session.ws_connect("/ws?width=120&height=40", headers=headers) as socket:
            async with asyncio.timeout(60):
                async for message in socket:
                    if message.type is WSMsgType.BINARY:
                        seen += message.data
                    if shown in seen:
                        break
    assert shown in seen
    assert "loopback" not in project.compose("logs", "coffee-tui")
