"""A connection to each server of the test, and a database that nobody has migrated."""

import itertools
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from backend.clients.daemon import Database, open_postgres, open_redis
from tests.database import connected

_number = itertools.count(1)


@pytest.fixture
async def empty_database_url(postgres_server: str) -> AsyncIterator[str]:
    server = postgres_server.rpartition("/")[0]
    name = f"empty_{next(_number)}"
    async with connected(f"{server}/postgres") as admin:
        await admin.execute(f"create database {name}")
        yield f"{server}/{name}"
        await admin.execute(f"drop database {name} with (force)")


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[Database]:
    opened = await open_postgres(database_url)
    yield opened
    await opened.close()


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Redis]:
    async with open_redis(redis_url) as opened:
        yield opened
