"""What has become of an order of v3, asked of Redis and PostgreSQL; and the topic as the live audit sees it."""

from uuid import UUID

from backend.clients.kafka import LogEnd
from backend.clients.postgres import PostgresPool
from backend.clients.redis import RedisClient
from backend.pipelines.live import Counts, LiveLog, Logged
from backend.pipelines.status import AWAY, Found, LoggedLookup
from coffee_core.errors import UnavailableError
from coffee_core.keys import TOPIC
from coffee_core.pipelines.constants import V3
from coffee_core.settings import Settings


class LogLookup(LoggedLookup):
    """v3: the memory of keys, then the row; which orders Flink's totals contain nobody can tell."""

    def __init__(self, postgres: PostgresPool, redis: RedisClient) -> None:
        super().__init__(postgres, redis, V3)

    async def find(self, message_id: UUID) -> Found | None:
        """Ask Redis and PostgreSQL."""
        known: bool | None
        try:
            known = bool(
                await self._redis.command("EXISTS", self._keys.idempotency(str(message_id)), reading=True)
            )
        except AWAY:
            known = None
        found, _ = await self.row(message_id)
        if found.stored or known:
            return found
        if known is None or found.stored is None:
            raise UnavailableError("redis and postgres cannot both be asked, and neither knows the order")
        return None


class TopicLog(LiveLog):
    """The topic, and the job's counts of what became of its records."""

    must_stand = True  # the job's rows and its metrics go their own ways
    shown_later = False

    def __init__(self, settings: Settings | None) -> None:
        """Take the settings of a stack that runs v3; with None nobody asks Kafka."""
        self._end = None if settings is None else LogEnd(settings, TOPIC)

    async def length(self) -> int | None:
        """Return the number of records of the topic; None where Kafka is not asked, or away."""
        return None if self._end is None else await self._end.read()

    def logged(self, before: Counts, rows: int, after: Counts, length: int | None) -> Logged:  # noqa: ARG002
        """Return what follows from the length of the topic and the orders of the job's state."""
        due = before.counted or 0
        if length is None or after.counted is None:
            return Logged(length, due, None)
        return Logged(length, due, max(0, length - after.counted - after.duplicates - after.dead))

    async def close(self) -> None:
        """Close the connection to Kafka."""
        if self._end is not None:
            await self._end.close()
