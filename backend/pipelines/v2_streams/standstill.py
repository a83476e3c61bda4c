"""Whether v2's orders wait: entries of the stream that nobody reads, or that nobody would ever be delivered."""

from backend.clients.redis import RedisClient, Script
from backend.pipelines.standstill import Sight, reported
from coffee_core.keys import STREAM, STREAM_GROUP, MetricKeys
from coffee_core.pipelines.constants import V2
from coffee_core.resources import lua
from coffee_core.standstill import Standstill

READS_WITHIN_MS = 1_500
"""A worker reads every 500 ms; one that has missed three of its reads does not read."""
_VISITED = 1_000
"""Entries that are looked at for such as are pending nowhere: a count is enough, a worker takes up all."""


class StreamWatch:
    """The stream, its consumer group, and what the workers report."""

    def __init__(self, redis: RedisClient) -> None:
        self._redis = redis
        self._keys = MetricKeys(V2)
        self._script = Script(lua("backend.pipelines.v2_streams", "watch"))

    async def look(self) -> Sight:
        """Ask for all of it in one script."""
        keys = (STREAM, self._keys.counters, self._keys.total_orders, self._keys.standstill)
        report, waiting, *finished, there, consumers, idle_ms, stuck = await self._redis.call(
            self._script, keys, STREAM_GROUP, _VISITED, reading=True
        )
        said = reported(report, self._keys)
        reads = 0 <= idle_ms <= READS_WITHIN_MS
        return Sight(
            progress=tuple(finished),
            waiting=waiting,
            # One worker that can do nothing keeps no order waiting where another reads.
            reported=None if reads and not waiting else said,
            certain=_stuck(stuck) if stuck else None,
            likely=None if reads else _unread(waiting, there=bool(there), consumers=consumers, idle_ms=idle_ms),
        )


def _stuck(entries: int) -> Standstill:
    what = "1 entry" if entries == 1 else f"{entries:,} entries"
    return Standstill(
        f"{what} of {STREAM} would be delivered to nobody: pending nowhere, and not after the last delivered one",
        "`coffee replay v2` hands them to a stream-worker; a running one takes them up by itself",
    )


def _unread(waiting: int, *, there: bool, consumers: int, idle_ms: int) -> Standstill:
    orders = "1 order waits" if waiting == 1 else f"{waiting:,} orders wait"
    cure = "start stream-worker, or end it where it is frozen: `coffee status` tells how it stands"
    if not there:
        return Standstill(f"{orders} on {STREAM}, which has no consumer group {STREAM_GROUP}", cure)
    if not consumers:
        return Standstill(f"{orders} on {STREAM} and no stream-worker reads it", cure)
    return Standstill(f"{orders} on {STREAM} and no stream-worker has read for {idle_ms // 1_000} s", cure)
