"""A Redis without free memory refuses what needs some, and takes it again after the block."""

import asyncio
import subprocess
import sys
from urllib.parse import urlsplit

import psutil
import pytest
from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError

from backend.lab.chaos.restorer import Restorer
from coffee_core.errors import CoffeeError
from tests.waiting import until


async def test_memory_is_full_for_the_length_of_the_block(redis_url: str, client: Redis) -> None:
    await client.set("here", "before")
    with Restorer() as restorer:
        restorer.fill_memory(redis_url)
        with pytest.raises(OutOfMemoryError):
            await client.set("more", "x")
        assert await client.get("here") == "before"
    assert await client.set("more", "x")
    assert (await client.config_get("maxmemory"))["maxmemory"] == "0"


async def test_what_cannot_be_mended_is_said_and_keeps_nothing_else_broken(redis_url: str, client: Redis) -> None:
    sleeper = await asyncio.create_subprocess_exec(sys.executable, "-S", "-c", "input()", stdin=subprocess.PIPE)
    with Restorer() as restorer:
        restorer.stop(sleeper.pid)
        restorer.fill_memory(redis_url)
        await client.config_set("requirepass", "another")
        with pytest.raises(CoffeeError, match=r"^not mended: -WRONGPASS"):
            restorer.mend()
        await until(lambda: psutil.Process(sleeper.pid).status() != psutil.STATUS_STOPPED)
    await client.config_set("maxmemory", 0)
    await client.config_set("requirepass", urlsplit(redis_url).password or "")
    await sleeper.communicate(b"\n")


async def test_what_stays_broken_at_the_end_is_said(redis_url: str, client: Redis) -> None:
    restorer = Restorer().__enter__()
    restorer.fill_memory(redis_url)
    await client.config_set("requirepass", "another")
    with pytest.raises(CoffeeError, match=r"^not mended: -WRONGPASS"):
        restorer.__exit__(None, None, None)
    await client.config_set("maxmemory", 0)
    await client.config_set("requirepass", urlsplit(redis_url).password or "")
