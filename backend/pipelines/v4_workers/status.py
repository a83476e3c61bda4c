"""What has become of an order of v4; and its topic as the live audit sees it, with two groups before it."""

from uuid import UUID

from backend.clients.kafka import LogEnd
from backend.pipelines.live import Counts, Logged
from backend.pipelines.status import AWAY, Found
from backend.pipelines.topic.status import TopicLog, TopicLookup
from coffee_core.keys import WORKER_GROUP
from coffee_core.pipelines import Log
from coffee_core.settings import Settings


class WorkersLookup(TopicLookup):
    """As of any topic; and an order is shown where the aggregators have passed its record."""

    async def find(self, message_id: UUID) -> Found | None:
        """Ask Redis and PostgreSQL."""
        found = await super().find(message_id)
        if found is None or not found.stored:
            return found
        _, source_id = await self.row(message_id)
        partition, _, offset = source_id.partition(":")
        try:
            counted = await self._redis.command("HGET", self._keys.offsets, partition, reading=True)
        except AWAY:
            return found
        return found._replace(shown=int(counted or 0) > int(offset or 0))


class GroupsLog(TopicLog):
    """As of any topic; and what the workers have yet to store may be shown, and is not lost."""

    def __init__(self, settings: Settings | None, log: Log) -> None:
        """Take the settings of a stack that runs v4; with None nobody asks Kafka."""
        super().__init__(settings, log)
        self._workers = None if settings is None else LogEnd(settings, log.name, WORKER_GROUP)
        self._unstored: int | None = None
        """Offsets above those that the workers have committed; None where they are not known."""

    async def length(self) -> int | None:
        """Return the length of the topic, and note how far the workers are behind its end."""
        length = await super().length()
        state = None if self._workers is None else await self._workers.read()
        self._unstored = None
        if state is not None and state.committed is not None:
            committed = state.committed
            self._unstored = sum(
                max(0, end - committed.get(number, first)) for number, (first, end) in state.bounds.items()
            )
        return length

    def logged(self, before: Counts, rows: int, after: Counts, length: int | None) -> Logged:
        """Return what follows from the counts of the aggregators and the offsets of the workers."""
        logged = super().logged(before, rows, after, length)
        return logged._replace(unstored=before.shown if self._unstored is None else self._unstored)

    async def close(self) -> None:
        """Close the connections to Kafka."""
        await super().close()
        if self._workers is not None:
            await self._workers.close()
