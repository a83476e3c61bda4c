"""What has become of an order of v4: the memory of keys, the row, and whether an aggregator has come so far."""

from uuid import UUID

from backend.pipelines.status import AWAY, Found
from backend.pipelines.topic.status import TopicLookup


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
