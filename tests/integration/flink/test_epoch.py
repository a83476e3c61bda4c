from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from flink.submit import EPOCH_KEY, current_epoch


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator["Redis[str]"]:
    client: Redis[str] = Redis.from_url(redis_url, decode_responses=True)
    yield client
    await client.aclose()


async def test_the_first_epoch_is_made_once_and_kept_in_the_file(client: "Redis[str]", tmp_path: Path) -> None:
    file = tmp_path / "epoch"
    assert await current_epoch(client, file) == "1"
    assert await client.get(EPOCH_KEY) == "1"
    assert file.read_text() == "1\n"


async def test_an_epoch_that_redis_holds_wins(client: "Redis[str]", tmp_path: Path) -> None:
    file = tmp_path / "epoch"
    file.write_text("3\n")
    await client.set(EPOCH_KEY, "4")
    assert await current_epoch(client, file) == "4"
    assert file.read_text() == "4\n"


async def test_a_flushed_epoch_is_put_back_from_the_file(client: "Redis[str]", tmp_path: Path) -> None:
    file = tmp_path / "epoch"
    await client.set(EPOCH_KEY, "4")
    await current_epoch(client, file)
    await client.flushall()
    assert await current_epoch(client, file) == "4"
    assert await client.get(EPOCH_KEY) == "4"
