from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from backend.daemon import Database, open_postgres, open_redis
from coffee_core.settings import Settings


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[Database]:
    opened = await open_postgres(database_url)
    yield opened
    await opened.close()


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Redis]:
    async with open_redis(redis_url) as opened:
        yield opened


@pytest.fixture
def settings(tmp_path: Path, database_url: str, redis_url: str) -> Settings:
    """Settings of v1 and v2 on the servers of this test."""
    return Settings.from_env({"COFFEE_HOME": str(tmp_path), "DATABASE_URL": database_url, "REDIS_URL": redis_url})
