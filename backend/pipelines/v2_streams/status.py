"""What has become of an order of v2, asked of Redis and PostgreSQL; and the stream as the live audit sees it."""

from uuid import UUID

from backend.clients.postgres import PostgresPool
from backend.clients.redis import RedisClient, Script
from backend.pipelines.live import Counts, LiveLog, Logged
from backend.pipelines.status import AWAY, Found, LoggedLookup
from coffee_core import keys
from coffee_core.errors import UnavailableError
from coffee_core.pipelines.constants import V2
from coffee_core.resources import lua

_FIND = Script(lua("backend.pipelines.v2_streams", "find_order"))
FIND_WITHIN_MS = 2_000
"""Milliseconds after its message id was made in which the API will have added an order to the stream."""
FIND_AMONG = 1_000
"""Most entries of the stream that are searched for one order."""


class StreamsLookup(LoggedLookup):
    """v2: the memory of keys and the stream, then the row, then whether its entry has been counted."""

    def __init__(self, postgres: PostgresPool, redis: RedisClient) -> None:
        super().__init__(postgres, redis, V2)

    async def find(self, message_id: UUID) -> Found | None:
        """Ask Redis first: an order leaves the stream only after it has become a row."""
        text = str(message_id)
        made_at_ms = str(message_id.int >> 80) if message_id.version == 7 else ""
        known: bool | None
        try:
            names = (keys.STREAM, self._keys.idempotency(text))
            args = (text, made_at_ms, FIND_WITHIN_MS, FIND_AMONG)
            known = bool(await self._redis.call(_FIND, names, *args, reading=True))
        except AWAY:
            known = None
        found, source_id = await self.row(message_id)
        if found.stored:
            return found._replace(shown=await self._is_counted(source_id))
        if known:
            return found._replace(shown=False if found.stored is False else None)
        if known is None or found.stored is None:
            raise UnavailableError("redis and postgres cannot both be asked, and neither knows the order")
        return None

    async def _is_counted(self, source_id: str) -> bool | None:
        # The worker counts an entry and deletes it in one script.
        try:
            return not await self._redis.command("XRANGE", keys.STREAM, source_id, source_id, reading=True)
        except AWAY:
            return None


class StreamLog(LiveLog):
    """A Redis stream whose entries are deleted once they have had their effect."""

    shown_later = False

    def logged(self, before: Counts, rows: int, after: Counts, length: int | None) -> Logged:  # noqa: ARG002
        """Return what follows from the stream's own counters."""
        return Logged(after.added, before.added - before.waiting - before.duplicates - before.dead, after.waiting)
