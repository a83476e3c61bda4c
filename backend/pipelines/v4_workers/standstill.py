"""Whether v4's orders wait: records that nobody counts, and counted ones that nobody stores."""

from backend.clients.redis import RedisClient
from backend.pipelines.standstill import Sight, reported
from coffee_core.keys import MetricKeys
from coffee_core.pipelines.constants import V4
from coffee_core.standstill import Standstill


class GroupsWatch:
    """What both groups have done, and what they report."""

    def __init__(self, redis: RedisClient) -> None:
        self._redis = redis
        self._keys = MetricKeys(V4)
        self._stored: dict[int, int] = {}

    async def look(self) -> Sight:
        """Read both groups' offsets and reports."""
        counting, storing, orders, counts, *offsets = await self._redis.read_at_once(
            ("GET", self._keys.standstill),
            ("GET", self._keys.storing_standstill),
            ("GET", self._keys.total_orders),
            ("HMGET", self._keys.counters, "duplicates", "dead"),
            ("HGETALL", self._keys.offsets),
            ("HGETALL", self._keys.stored),
        )
        counted, stored = map(_offsets, offsets)
        behind = sum(max(0, offset - stored.get(number, 0)) for number, offset in counted.items())
        stands, self._stored = stored == self._stored, stored
        # Shown or not: an order that is not stored waits.
        certain = reported(storing, self._keys)
        if certain is None and behind and stands:
            certain = Standstill(
                f"{behind:,} orders are counted and are no rows of PostgreSQL: no kafka-worker stores them",
                "start kafka-worker, or end it where it is frozen: `coffee status` tells how it stands",
            )
        return Sight((orders, *counts), reported=reported(counting, self._keys), certain=certain)


def _offsets(flat: list[bytes]) -> dict[int, int]:
    return {int(number): int(offset) for number, offset in zip(flat[::2], flat[1::2], strict=True)}
