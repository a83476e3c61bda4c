"""What has become of an order of v1: its row, and whether the snapshot of the last run has it."""

from uuid import UUID

from redis.exceptions import ResponseError

from backend.clients.postgres import PostgresPool
from backend.clients.redis import RedisClient
from backend.pipelines.status import AWAY, Found
from backend.pipelines.v1_direct.fence import Fence
from coffee_core import keys
from coffee_core.clock import from_datetime
from coffee_core.pipelines.constants import V1
from coffee_core.resources import sql

_SELECT_STATUS = sql("backend.pipelines.v1_direct", "select_status")


class DirectLookup:
    """v1: the row, and whether the snapshot of the last run has it."""

    def __init__(self, postgres: PostgresPool, redis: RedisClient) -> None:
        self._postgres = postgres
        self._redis = redis
        self._keys = keys.MetricKeys(V1)

    async def find(self, message_id: UUID) -> Found | None:
        """Ask PostgreSQL."""
        fence: bytes | None
        try:
            # Before the row: a run that comes in between makes this answer old, not wrong.
            fence, total = await self._redis.command(
                "MGET", self._keys.fence, self._keys.total_orders, reading=True
            )
            asked = True
        except AWAY:
            fence, total, asked = None, None, False
        snapshot = None
        if fence is not None and total is not None:
            try:
                snapshot = Fence.parse(fence.decode(errors="replace")).snapshot
            except ResponseError:  # somebody else has written it: what is shown cannot be told
                asked = False
        row = await self._postgres.read(_SELECT_STATUS, message_id, snapshot)
        if row is None:
            return None
        shown = False if asked and snapshot is None else row["shown"]
        return Found(True, shown, from_datetime(row["accepted_at"]), from_datetime(row["stored_at"]))
