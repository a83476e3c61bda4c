"""What has become of an order, asked of Redis and PostgreSQL; and the topic as the live audit sees it."""

from uuid import UUID

from backend.clients.kafka import Bounds, LogEnd, LogState, above
from backend.pipelines.live import Counts, LiveLog, Logged
from backend.pipelines.status import AWAY, Found, LoggedLookup
from coffee_core.errors import UnavailableError
from coffee_core.pipelines import Log
from coffee_core.settings import Settings
from coffee_core.standstill import Standstill


class TopicLookup(LoggedLookup):
    """The memory of keys, then the row; which orders the totals contain it cannot tell."""

    async def find(self, message_id: UUID) -> Found | None:
        """Ask Redis and PostgreSQL."""
        known: bool | None
        name = self._keys.idempotency(str(message_id))
        try:
            known = self._redis.late_keys.get(name) is not None or bool(
                await self._redis.command("EXISTS", name, reading=True)
            )
        except AWAY:
            known = None
        found, _ = await self.row(message_id)
        if found.stored or known:
            return found
        if known is None or found.stored is None:
            raise UnavailableError("redis and postgres cannot both be asked, and neither knows the order")
        return None


_MOST_COUNTED = 20_000
"""Offsets above the committed ones up to which their records are counted by reading them."""


class TopicLog(LiveLog):
    """The topic, and the processor's counts of what became of its records.

    Offsets are not records: transactions and compactions leave holes. How many there are is known from the moments
    at which little or nothing can be in flight, by the offsets that the processor has committed.
    """

    must_stand = True  # rows and metrics go their own ways
    shown_later = False

    def __init__(self, settings: Settings | None, log: Log) -> None:
        """Take the settings of a stack that runs the log's pipeline; with None nobody asks Kafka."""
        self._topic = log.name
        self._end = None if settings is None else LogEnd(settings, log.name, log.group)
        self._before: LogState | None = None
        self._now: LogState | None = None
        self._unread: tuple[Bounds, int] | None = None
        """Bounds that were counted by reading them, and how many records they hold."""
        self._processed = 0
        self._waited_at: int | None = None
        """Records that the processor had counted when records were last in flight; None where none were."""
        self._waits = False
        """Whether nothing was counted between two looks that both found records in flight."""
        self._holes = 0
        """Offsets that certainly hold no record."""

    async def length(self) -> int | None:
        """Return the length of the topic in offsets; None where Kafka is not asked, or away."""
        if self._end is None:
            return None
        self._before, self._now = self._now, await self._end.read()
        if self._now is None:
            return None
        self.blocked = self._open_transaction()
        await self._count_unread(self._end)
        return self._now.length

    async def _count_unread(self, end: LogEnd) -> None:
        """Count by reading, once, what lies above the committed offsets of a topic at rest."""
        before, now = self._before, self._now
        if not self._waits or before is None or now is None or before.committed is None or before.ends != now.ends:
            return
        rest = above(now.bounds, before.committed)
        known = self._unread is not None and self._unread[0] == rest
        if not known and sum(last - first for first, last in rest.values()) <= _MOST_COUNTED:
            records = await end.count(rest)
            self._unread = None if records is None else (rest, records)

    def _open_transaction(self) -> Standstill | None:
        """Return what keeps all readers waiting where a transaction is as open as it was at the look before."""
        before, now = self._before, self._now
        if before is None or now is None or before.bounds != now.bounds or not now.uncommitted:
            return None
        return Standstill(
            f"a transaction is open on the topic {self._topic}: its readers take committed records alone, and"
            f" {now.uncommitted:,} offsets wait for its end",
            "its producer ends it, or Kafka after the time that it was given, or `kafka-transactions.sh abort`",
        )

    def logged(self, before: Counts, rows: int, after: Counts, length: int | None) -> Logged:  # noqa: ARG002
        """Return what follows from the length of the topic and the orders of the processor's state."""
        due = before.counted or 0
        if length is None or after.counted is None:
            return Logged(length, due, None)
        processed = after.counted + after.duplicates + after.dead
        rest = length - processed
        if rest < 0:  # the topic was cut off, or made anew: what it accepted is not known
            self._holes = 0
            return Logged(None, due, None)
        in_flight = self._in_flight(processed, rest)
        self._waits = in_flight > 0 and processed == self._waited_at
        self._waited_at = processed if in_flight else None
        self._processed = processed
        return Logged(processed + in_flight, due, in_flight)

    def _in_flight(self, processed: int, rest: int) -> int:
        """Return how many of the offsets that are not accounted for hold records."""
        before, now = self._before, self._now
        if (
            now is None
            or before is None
            or before.committed is None
            or self._is_another_job(before, now, processed)
        ):
            # Nothing is known of before the counts.
            self._holes = 0
            return rest
        unread = above(now.bounds, before.committed)
        counted = self._unread is not None and self._unread[0] == unread
        bound = self._unread[1] if self._unread is not None and counted else _offsets(unread)
        self._holes = min(rest, max(self._holes, rest - bound - now.uncommitted))
        return rest - self._holes

    def _is_another_job(self, before: LogState, now: LogState, processed: int) -> bool:
        """Return whether a job began anew: the offsets of the one before say nothing of it."""
        if processed < self._processed or before.committed is None or now.committed is None:
            return True
        return any(now.committed.get(number, 0) < offset for number, offset in before.committed.items())

    async def close(self) -> None:
        """Close the connection to Kafka."""
        if self._end is not None:
            await self._end.close()


def _offsets(bounds: Bounds) -> int:
    return sum(last - first for first, last in bounds.values())
