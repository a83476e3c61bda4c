"""An order API of v1 and v2 before real servers, and a Kafka."""

from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from redis.asyncio import Redis

from backend.stack import kafka as kafka_stack
from coffee_core.settings import Settings
from tests.database import connected
from tests.integration.backend.api.broker import Broker
from tests.integration.backend.api.in_process import LocalApi, in_process
from tests.servers import free_port, serving
from tests.waiting import until


@pytest.fixture
def settings(tmp_path: Path, database_url: str, redis_url: str) -> Settings:
    return Settings.from_env(
        {
            "COFFEE_HOME": str(tmp_path),
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "COFFEE_PIPELINES": "v1,v2",
            "COFFEE_AGGREGATOR_INTERVAL_S": "1",
        }
    )


async def _started(settings: Settings) -> AsyncIterator[LocalApi]:
    async with in_process(settings) as api:
        for pipeline in settings.pipelines:
            await until(partial(api.is_ready, pipeline))
        yield api


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[LocalApi]:
    async for each in _started(settings):
        yield each


@pytest.fixture
async def twin(settings: Settings) -> AsyncIterator[LocalApi]:
    """A second API before the same servers, with nothing in common but them."""
    async for each in _started(settings):
        yield each


@pytest.fixture
async def database(database_url: str) -> AsyncIterator["asyncpg.Connection[Any]"]:
    async with connected(database_url) as connection:
        yield connection


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator["Redis[str]"]:
    async with Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    folder = tmp_path_factory.mktemp("kafka server")
    ports = {f"COFFEE_KAFKA_{name}PORT": str(free_port()) for name in ("", "CONTROLLER_")}
    settings = Settings.from_env({"COFFEE_HOME": str(folder), **ports})
    with serving(kafka_stack.part(settings), settings, folder / "log", within_s=90) as process:
        yield Broker(settings, process)
