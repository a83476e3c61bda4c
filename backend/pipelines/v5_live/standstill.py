"""Whether v5's orders wait: they are shown within milliseconds, so whatever waits waits for the projector."""

from dataclasses import replace

from backend.clients.redis import RedisClient
from backend.pipelines.standstill import ReportedWatch, Sight
from coffee_core.pipelines.constants import V5
from coffee_core.standstill import Standstill

_LIKELY = Standstill(
    "live-projector shows nothing of what is committed",
    "start live-projector (`coffee status` tells how it stands); `coffee reconcile v5` shows it once",
)


class ProjectorWatch(ReportedWatch):
    """What the projector reports, and whether it works."""

    def __init__(self, redis: RedisClient) -> None:
        super().__init__(redis, V5)

    async def look(self) -> Sight:
        """Read the projector's report, and its totals, which change with each write."""
        return replace(await super().look(), likely=_LIKELY)
