"""Whether accepted orders of a pipeline wait and nobody works on them: what a look finds, and when it is believed.

A pipeline's processor says itself why it does nothing (``coffee_core.standstill``). What it can no longer say the
API sees: each pipeline has a ``StandstillWatch``, which is cheap enough to look every second.
"""

from dataclasses import dataclass
from typing import Protocol

from backend.clients.redis import RedisClient
from coffee_core.keys import MetricKeys
from coffee_core.pipelines import Pipeline
from coffee_core.standstill import Standstill


@dataclass(frozen=True, slots=True)
class Sight:
    """What one look at a pipeline has found."""

    progress: tuple[object, ...] = ()
    """Differs from that of the look before wherever the processor has finished anything meanwhile."""
    waiting: int | None = None
    """Accepted orders that should be shown and are not; None where the look cannot tell: then they are counted."""
    waiting_since_s: float | None = None
    """Since when, in monotonic seconds, where that is known to be longer than since this look."""
    reported: Standstill | None = None
    """What the processor itself says, after it has failed for a while; of several one alone may say so, while
    others work."""
    certain: Standstill | None = None
    """What keeps orders waiting whatever else is finished meanwhile."""
    likely: Standstill | None = None
    """Why, where orders wait and none is finished."""


class StandstillWatch(Protocol):
    """Where one pipeline is looked at."""

    async def look(self) -> Sight:
        """Look, with one round trip to Redis; raises UnavailableError and OutcomeUnknownError."""


class ReportedWatch:
    """The watch of a pipeline without rules of its own: what its processor reports, and whether it works."""

    def __init__(self, redis: RedisClient, pipeline: Pipeline) -> None:
        self._redis = redis
        self._keys = MetricKeys(pipeline)

    async def look(self) -> Sight:
        """Read the processor's report, and its totals, which change with each order that it shows."""
        report, orders, (updated_us,) = await self._redis.read_at_once(
            ("GET", self._keys.standstill),
            ("GET", self._keys.total_orders),
            ("HMGET", self._keys.counters, "last_update_us"),
        )
        return Sight((orders, updated_us), reported=reported(report, self._keys))


def reported(report: bytes | None, keys: MetricKeys) -> Standstill | None:
    """Read what a processor has written; what cannot be read is named."""
    if not report:
        return None
    try:
        return Standstill.from_json(report)
    except ValueError as error:
        return Standstill(f"{keys.standstill} holds what no processor writes ({error})", "delete the key")


STOOD_S = 5.0
"""Seconds for which a reason must have stood: a part that is started again is back by then, most of the time."""
REPORTED_S = 2.0
"""Seconds without a finished order for which a processor must have reported: it has waited itself before."""
UNEXPLAINED_S = 7.0
"""Seconds without a finished order after which orders that wait are named without a reason."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A standstill that is believed."""

    standstill: Standstill
    since_s: float
    """Since when it stands: monotonic seconds."""
    explained: bool
    """Whether the reason is known for sure; else somebody may know it better."""


class Judge:
    """Believes what has stood for a while, so that neither a start nor a short restart is called a standstill."""

    def __init__(self) -> None:
        self._progress: tuple[object, ...] | None = None
        self._certain_since_s: float | None = None
        self._still_since_s: float | None = None

    def judge(self, sight: Sight, at_s: float) -> Verdict | None:
        """Return the standstill as of this look; call it with ascending moments, in monotonic seconds."""
        moved = self._progress is not None and sight.progress != self._progress
        self._progress = sight.progress
        if sight.certain is None:
            self._certain_since_s = None
        elif self._certain_since_s is None:
            self._certain_since_s = at_s
        if moved or not (sight.waiting or sight.reported):
            self._still_since_s = None
        elif self._still_since_s is None:
            self._still_since_s = at_s if sight.waiting_since_s is None else sight.waiting_since_s
        return self._of_still(sight, at_s) or self._of_certain(sight, at_s)

    def _of_still(self, sight: Sight, at_s: float) -> Verdict | None:
        since_s = self._still_since_s
        if since_s is None:
            return None
        if sight.reported is not None and at_s - since_s >= REPORTED_S:
            return Verdict(sight.reported, since_s, explained=True)
        if sight.certain is not None or at_s - since_s < STOOD_S:
            return None
        if sight.likely is not None:
            return Verdict(sight.likely, since_s, explained=False)
        if at_s - since_s < UNEXPLAINED_S:
            return None
        orders = "1 order waits" if sight.waiting == 1 else f"{sight.waiting:,} orders wait"
        reason = f"{orders} and none has been finished for {at_s - since_s:.0f} s"
        return Verdict(Standstill(reason, "`coffee status` tells which part is down"), since_s, explained=False)

    def _of_certain(self, sight: Sight, at_s: float) -> Verdict | None:
        since_s = self._certain_since_s
        if sight.certain is None or since_s is None or at_s - since_s < STOOD_S:
            return None
        return Verdict(sight.certain, since_s, explained=True)
