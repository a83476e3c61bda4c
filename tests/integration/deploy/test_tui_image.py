"""The image of the dashboard, built by its own Dockerfile without Docker: a page of it shows the real Redis."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from aiohttp import ClientConnectionError, ClientSession, WSMsgType
from redis.asyncio import Redis

from coffee_core.keys import MetricKeys
from coffee_core.pipelines.constants import V1
from tests.integration.deploy.rehearsal import REPOSITORY, USER, Stage, build, open_place
from tests.servers import free_port
from tests.waiting import until

ORDERS = 9_753


@pytest.fixture(scope="module")
def image() -> Iterator[Stage]:
    with open_place("tui") as folder:
        yield build(REPOSITORY / "docker" / "tui" / "Dockerfile", folder)


@pytest.fixture
async def url(image: Stage, redis_url: str) -> AsyncIterator[str]:
    """Where the image's own command serves, on loopback and another port."""
    port = str(free_port())
    command = [{"0.0.0.0": "127.0.0.1", "8006": port}.get(word, word) for word in image.command]
    served = image.start(command, API_URL=f"http://127.0.0.1:{free_port()}", REDIS_URL=redis_url)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        served.terminate()
        output, _ = await asyncio.to_thread(served.communicate, timeout=30)
    assert served.returncode == 0, output


async def test_a_page_shows_what_is_in_redis(url: str, client: Redis) -> None:
    await client.hset(MetricKeys(V1).drink_counts, "latte", str(ORDERS))  # type: ignore[misc]
    async with ClientSession(url) as session:

        async def answers() -> bool:
            try:
                async with session.get("/") as page:
                    return page.status == 200
            except ClientConnectionError:
                return False

        await until(answers, within_s=60)
        seen = b""
        async with session.ws_connect("/ws?width=120&height=40", headers={"Origin": url}) as socket:
            async with asyncio.timeout(60):
                async for message in socket:
                    if message.type is WSMsgType.BINARY:
                        seen += message.data
                    if f"{ORDERS:,}".encode() in seen:
                        break
    assert f"{ORDERS:,}".encode() in seen


def test_the_image_is_the_light_one(image: Stage) -> None:
    installed = {path.name for path in (image.root / "opt/coffee").glob("lib/python3.*/site-packages/*")}
    assert {"textual", "textual_serve", "redis"} <= installed
    assert not installed & {"pyflink", "asyncpg", "aiokafka", "starlette", "pytest"}
    assert image.user == USER
