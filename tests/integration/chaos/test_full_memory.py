"""A Redis without free memory refuses what needs some, and takes it again after the block."""

import pytest
from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError

from backend.lab.chaos.guard import Guard


async def test_memory_is_full_for_the_length_of_the_block(redis_url: str, client: Redis) -> None:
    await client.set("here", "before")
    with Guard() as guard:
        guard.fill_memory(redis_url)
        with pytest.raises(OutOfMemoryError):
            await client.set("more", "x")
        assert await client.get("here") == "before"
    assert await client.set("more", "x")
    assert (await client.config_get("maxmemory"))["maxmemory"] == "0"
