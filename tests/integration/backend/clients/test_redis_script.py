"""A daemon's script on a connection of its own fails as redis-py's does, and runs where Redis has forgotten it."""

import pytest
from redis import exceptions
from redis.asyncio import Redis

from backend.clients import daemon
from backend.clients.daemon import OUTAGES, open_script

ECHO = "return {KEYS[1], ARGV[1], #ARGV}"


async def test_it_runs_and_runs_again_where_redis_has_forgotten_it(client: Redis, redis_url: str) -> None:
    async with open_script(redis_url, ECHO) as script:
        for _ in range(2):
            await client.script_flush()
            for _ in range(2):
                assert await script(["key"], (b"\0\xff", 7)) == [b"key", b"\0\xff", 2]


async def test_what_the_script_raises_is_an_error_of_redis_py_and_the_next_call_works(redis_url: str) -> None:
    async with open_script(redis_url, "return ARGV[1] == 'ok' and 1 or redis.error_reply('ERR not ok')") as script:
        with pytest.raises(exceptions.ResponseError, match="not ok"):
            await script((), ["no"])
        assert await script((), ["ok"]) == 1


async def test_a_connection_that_is_lost_or_not_there_is_an_outage(client: Redis, redis_url: str) -> None:
    async with open_script(redis_url, ECHO) as script:
        await client.client_kill_filter(_type="normal", skipme=True)
        with pytest.raises(exceptions.ConnectionError):
            await script(["key"], [""])
    with pytest.raises(OUTAGES):
        async with open_script("redis://127.0.0.1:1", ECHO):
            pass


async def test_a_redis_that_hangs_is_one_too_and_its_late_answer_is_nobodys(
    client: Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_script(redis_url, ECHO) as script:
        monkeypatch.setattr(daemon, "SOCKET_TIMEOUT_S", 0.05)
        await client.client_pause(60_000, all=False)  # what may write
        try:
            with pytest.raises(exceptions.TimeoutError, match="it does not answer"):
                await script(["key"], ["first"])
        finally:
            await client.client_unpause()
        with pytest.raises(exceptions.ConnectionError):
            await script(["key"], ["second"])
