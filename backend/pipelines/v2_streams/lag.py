"""How far the stream workers are behind: what none has read yet, and what each has in hand."""

from collections.abc import Sequence
from typing import Any

from backend.clients.redis import RedisClient
from backend.pipelines.lag import Lag
from coffee_core import keys

_UNREAD = "not read yet"


class StreamLag:
    """The group's own lag, which Redis counts, and the pending entries of each consumer."""

    def __init__(self, redis: RedisClient) -> None:
        self._redis = redis

    async def read(self) -> Sequence[Lag]:
        """Ask for the group and its consumers at one moment; nothing before there is a group."""
        if not await self._redis.command("EXISTS", keys.STREAM, reading=True):
            return ()
        if not _group(await self._redis.command("XINFO", "GROUPS", keys.STREAM, reading=True)):
            return ()
        groups, consumers = await self._redis.read_at_once(
            ("XINFO", "GROUPS", keys.STREAM), ("XINFO", "CONSUMERS", keys.STREAM, keys.STREAM_GROUP)
        )
        group = _group(groups)
        # Of a group that was set on, or whose unread entries somebody has deleted, Redis does not tell.
        unread = Lag(keys.STREAM_GROUP, keys.STREAM, "", group["lag"], _UNREAD)
        return [unread, *(_in_hand(_fields(each)) for each in consumers)]

    async def close(self) -> None:
        """Do nothing: the connection is the API's."""


def _group(groups: Sequence[Any]) -> dict[str, Any]:
    """Return the workers' group; empty where there is none."""
    return next((each for each in map(_fields, groups) if each["name"] == keys.STREAM_GROUP.encode()), {})


def _in_hand(consumer: dict[str, Any]) -> Lag:
    idle_s = int(consumer["idle"]) / 1_000
    note = f"in hand, asked {idle_s:.0f} s ago" if idle_s >= 2 else "in hand"
    name = consumer["name"].decode(errors="replace")
    return Lag(keys.STREAM_GROUP, keys.STREAM, name, consumer["pending"], note)


def _fields(flat: Sequence[Any]) -> dict[str, Any]:
    return {name.decode(): value for name, value in zip(flat[::2], flat[1::2], strict=True)}
