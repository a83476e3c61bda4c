"""What has become of an order of v5: its row, and whether the snapshot that is shown has it."""

from uuid import UUID

from redis.exceptions import ResponseError

from backend.clients.connections import Connections
from backend.pipelines.status import AWAY, Found
from backend.pipelines.v5_live.projector import METRICS, Fence
from coffee_core.clock import from_datetime
from coffee_core.resources import sql

_SELECT_STATUS = sql("backend.pipelines.v5_live", "select_status")


class LiveLookup:
    """v5: the row, and whether the snapshot of the last write has it."""

    def __init__(self, connections: Connections) -> None:
        self._postgres = connections.postgres
        self._redis = connections.redis

    async def find(self, message_id: UUID) -> Found | None:
        """Ask PostgreSQL."""
        fence: Fence | None = None
        known = False
        try:
            # Before the row: a write that comes in between makes this answer old, not wrong.
            text, total = await self._redis.command("MGET", METRICS.fence, METRICS.total_orders, reading=True)
            if total is not None and text is not None:
                fence = Fence.parse(text.decode(errors="replace"))
            known = True
        except (*AWAY, ResponseError):
            pass  # what is shown cannot be told
        row = await self._postgres.read(_SELECT_STATUS, message_id, fence.snapshot if fence else None)
        if row is None:
            return None
        shown = row["shown"] if fence else (False if known else None)
        return Found(True, shown, from_datetime(row["accepted_at"]), from_datetime(row["stored_at"]))
