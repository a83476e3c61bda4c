"""A connection to each server of the test."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from backend.daemon import Database, open_postgres, open_redis


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[Database]:
    opened = await open_postgres(database_url)
    yield opened
    await opened.close()


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Redis]:
    async with open_redis(redis_url) as opened:
        yield opened
