"""Whether v1's orders wait for longer than they should: until the aggregator's next run they wait by design."""

import time

from backend.clients.redis import RedisClient
from backend.pipelines.standstill import Sight, reported
from coffee_core.clock import now_us
from coffee_core.errors import UnavailableError
from coffee_core.keys import MetricKeys
from coffee_core.metrics import whole_number
from coffee_core.pipelines.constants import V1
from coffee_core.standstill import Standstill

_CURE = "start cafe-order-aggregator (`coffee status` tells how it stands); `coffee reconcile v1` runs it once"


class RunsWatch:
    """The aggregator's runs: when the last one ended, and when the next was due."""

    def __init__(self, redis: RedisClient, interval_s: float) -> None:
        """``interval_s`` is how long a run may be awaited of which nothing is known, in seconds."""
        self._redis = redis
        self._interval_s = interval_s
        self._keys = MetricKeys(V1)
        self._unknown_since_s: float | None = None

    async def look(self) -> Sight:
        """Read the schedule that the last run has left; rows are only counted once a run is overdue."""
        report, runs = await self._redis.read_at_once(
            ("GET", self._keys.standstill),
            ("HMGET", self._keys.counters, "last_update_us", "last_run_us", "next_run_us"),
        )
        try:
            updated_us, run_us, due_us = (whole_number("counters", value) for value in runs)
        except ValueError as error:
            raise UnavailableError(f"{self._keys.counters} holds no whole number ({error})") from error
        said = reported(report, self._keys)
        time_us = now_us()
        if not updated_us:
            return self._without_schedule(said)
        self._unknown_since_s = None
        # A run takes its time, and the next one may take a little more.
        if time_us < due_us + 2 * run_us:
            return Sight((updated_us,), waiting=0, reported=said)
        reason = (
            f"the aggregator has not run for {(time_us - updated_us) // 1_000_000} s: its next run was due"
            f" {(time_us - due_us) // 1_000_000} s ago"
        )
        return Sight((updated_us,), reported=said, likely=Standstill(reason, _CURE))

    def _without_schedule(self, said: Standstill | None) -> Sight:
        """Return the sight before the first run, and after a flush, which the next run mends."""
        now_s = time.monotonic()
        if self._unknown_since_s is None:
            self._unknown_since_s = now_s
        if now_s - self._unknown_since_s < self._interval_s:
            return Sight((), waiting=0, reported=said)
        return Sight((), reported=said, likely=Standstill("the aggregator has not run yet", _CURE))
