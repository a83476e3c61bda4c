"""Whether v3's orders wait: records that no job counts, nobody who would submit one, a topic that lost its end."""

from collections.abc import Callable

from backend.clients.redis import RedisClient
from backend.pipelines.standstill import Sight, reported
from coffee_core.keys import MetricKeys
from coffee_core.pipelines.constants import V3
from coffee_core.standstill import Standstill


class JobWatch:
    """The counts of the job, and the submitter: what it reports, and whether it is there at all."""

    def __init__(self, redis: RedisClient, of_topic: Callable[[], Standstill | None] = lambda: None) -> None:
        """``of_topic`` returns what has to be said of the topic itself."""
        self._redis = redis
        self._of_topic = of_topic
        self._keys = MetricKeys(V3)

    async def look(self) -> Sight:
        """Read what the job has counted, and how many submitters are subscribed to their channel."""
        report, orders, counts, (_, submitters) = await self._redis.read_at_once(
            ("GET", self._keys.standstill),
            ("GET", self._keys.total_orders),
            ("HMGET", self._keys.counters, "shown_orders", "duplicates", "dead"),
            ("PUBSUB", "NUMSUB", self._keys.watched),
        )
        likely = None
        if not submitters:
            likely = Standstill(
                "nobody keeps v3's job running: no submitter is connected to Redis",
                "start flink-job (`coffee status` tells how it stands): it submits the job where that is missing",
            )
        return Sight(
            (orders, *counts),
            reported=reported(report, self._keys),
            certain=self._of_topic(),
            likely=likely,
        )
