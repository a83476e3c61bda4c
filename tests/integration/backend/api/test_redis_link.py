"""The API's connection to Redis, before a real one."""

import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis

from backend.clients import redis
from backend.clients.redis import RedisLink, ReplyError
from coffee_core.errors import OutcomeUnknownError, UnavailableError
from coffee_core.tasks import end_tasks
from tests.waiting import until


class _Counting:
    """A transport that counts what is written at once."""

    def __init__(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self.writes: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.writes.append(data)
        self._transport.write(data)  # type: ignore[attr-defined]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class _Counted(RedisLink):
    transport: _Counting

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = _Counting(transport)
        super().connection_made(self.transport)  # type: ignore[arg-type]


async def _connect(url: str) -> _Counted:
    link = await redis.connect(url, lambda _: None, _Counted)
    assert isinstance(link, _Counted)
    link.transport.writes.clear()
    return link


async def test_what_is_sent_in_one_turn_is_written_together_and_answered_in_order(redis_url: str) -> None:
    link = await _connect(redis_url)
    try:
        replies = [link.send("ECHO", str(number)) for number in range(20)]
        assert await asyncio.gather(*replies) == [str(number).encode() for number in range(20)]
        assert [data.count(b"ECHO") for data in link.transport.writes] == [8, 8, 4]
        assert await link.send("ECHO", "alone") == b"alone"
        assert [data.count(b"ECHO") for data in link.transport.writes] == [8, 8, 4, 1]
    finally:
        link.close()


async def test_a_refusal_meets_its_own_command_alone(redis_url: str) -> None:
    link = await _connect(redis_url)
    try:
        before, wrong, after = link.send("ECHO", "a"), link.send("NO-SUCH"), link.send("ECHO", "b")
        with pytest.raises(ReplyError):
            await wrong
        assert (await before, await after) == (b"a", b"b")
    finally:
        link.close()


async def test_who_has_sent_before_the_end_learns_that_the_outcome_is_unknown(redis_url: str) -> None:
    link = await _connect(redis_url)
    reply = link.send("ECHO", "a")
    link.close()
    with pytest.raises(OutcomeUnknownError):
        await reply
    assert not link.transport.writes
    with pytest.raises(UnavailableError):
        link.send("ECHO", "b")


async def test_late_keys_are_known_at_once_and_written_unless_there_is_one(redis_url: str) -> None:
    client = redis.RedisClient(redis_url)
    running = asyncio.create_task(client.run())
    try:
        await until(lambda: client.health.up)
        for content in ("first", "second"):
            client.late_keys.set("late", content, 60_000)
        assert client.late_keys.get("late") == "first"
        assert await client.command("GET", "late") is None
        await until(lambda: client.late_keys.get("late") is None)
        client.late_keys.set("late", "third", 60_000)
        await until(lambda: client.late_keys.get("late") is None)
        assert await client.command("GET", "late") == b"first"
        assert 0 < await client.command("PTTL", "late") <= 60_000
    finally:
        await end_tasks(running)


async def test_late_keys_are_written_by_an_end_in_order(redis_url: str, client: Redis) -> None:
    """Else another order under one of them, after a restart, would be accepted and become a dead letter."""
    ending = redis.RedisClient(redis_url)
    running = asyncio.create_task(ending.run())
    try:
        await until(lambda: ending.health.up)
        ending.late_keys.set("late", "first", 60_000)
    finally:
        await end_tasks(running)
    assert await client.get("late") == "first"
