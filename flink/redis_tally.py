"""Shows the tally of v3 in Redis: one Lua call for a row, whole or not at all, and only in the current epoch."""

import logging
import time
from importlib.resources import files
from typing import Any

from redis import Redis
from redis.exceptions import BusyLoadingError, OutOfMemoryError, ReadOnlyError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from coffee_core.clock import now_us
from coffee_core.errors import CoffeeError
from coffee_core.keys import MetricKeys
from coffee_core.latency import bucket_of
from coffee_core.menu import DRINKS, STORES
from coffee_core.pipelines import Pipeline

KEYS = MetricKeys(Pipeline.V3)
_PASSING = (RedisConnectionError, RedisTimeoutError, BusyLoadingError, ReadOnlyError, OutOfMemoryError)
"""What a Redis server that restarts, fails over or has no memory left answers."""
_GIVE_UP_AFTER_S = 30.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.02, 1.0
_TIMEOUT_S = 5.0
SHOWN, OLDER, OTHER_EPOCH, NO_EPOCH = 1, 0, -1, -2
"""What the script answers."""

log = logging.getLogger(__name__)


class NotShownError(CoffeeError):
    """Redis could not be written for too long; Flink restarts the job from its checkpoint, so nothing is lost."""


class RedisTally:
    """The writer of one job."""

    def __init__(self, redis_url: str, epoch: str, give_up_after_s: float = _GIVE_UP_AFTER_S) -> None:
        self._redis: Redis = Redis.from_url(
            redis_url, decode_responses=True, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S
        )
        # A Script object loads itself again where a restarted server answers NOSCRIPT.
        self._show = self._redis.register_script(files("flink").joinpath("show.lua").read_text(encoding="utf-8"))
        self._epoch = epoch
        self._give_up_after_s = give_up_after_s
        self._seen: tuple[int, int] | None = None
        """Orders shown, and the sum of their accepted_at in µs; None until it has been read."""

    def close(self) -> None:
        """Close the connection."""
        self._redis.close()

    def show(self, row: tuple[Any, ...]) -> int:
        """Show one tally; its columns are those of ``flink.statements.tally_columns``.

        Returns what the script answered. Waits out a server that is away and an epoch that a flush has erased;
        raises NotShownError after 30 s of it.
        """
        give_up_at = time.monotonic() + self._give_up_after_s
        pause = _FIRST_PAUSE_S
        while True:
            problem: Exception | str = "the epoch is missing"
            try:
                answer = self._attempt(row)
            except _PASSING as error:
                problem = error
            else:
                if answer != NO_EPOCH:
                    return answer
            if time.monotonic() > give_up_at:
                raise NotShownError(f"the tally could not be shown in Redis: {problem}")
            if pause == _FIRST_PAUSE_S:
                log.warning("Redis cannot be written, trying again: %s", problem)
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    def _attempt(self, row: tuple[Any, ...]) -> int:
        if self._seen is None:
            self._seen = self._read_seen()
        orders, revenue, *cells, accepted_us, valid, dead = row
        now, sum_us = now_us(), int(accepted_us)
        answer, shown_before = self._show(
            keys=[KEYS.fence, *KEYS.metrics, KEYS.latency, KEYS.counters],
            args=[
                *(self._epoch, orders, revenue, max(0, valid - orders), dead, now, sum_us),
                *(self._seen[0], self._bucket(orders, sum_us, now)),
                *(len(DRINKS), *_fields(cells)),
            ],
        )
        if answer == SHOWN:
            self._seen = (orders, sum_us)
        elif answer == OLDER and shown_before != self._seen[0]:
            self._seen = None
        return int(answer)

    def _read_seen(self) -> tuple[int, int]:
        found: Any = self._redis.hmget(KEYS.counters, ["shown_orders", "shown_accepted_us"])
        orders, sum_us = found
        try:
            return int(orders or 0), int(sum_us or 0)
        except ValueError:
            return 0, 0

    def _bucket(self, orders: int, sum_us: int, now: int) -> int | str:
        """Return the bucket of the mean latency of the orders since the last row shown, '' if there are none."""
        assert self._seen is not None
        count = orders - self._seen[0]
        return bucket_of(now - (sum_us - self._seen[1]) / count) if count > 0 else ""


def _fields(cells: list[int]) -> list[str | int]:
    names = (*DRINKS, *STORES)
    fields: list[str | int] = []
    for name, count, cents in zip(names, cells[::2], cells[1::2], strict=True):
        fields += (name, count, cents)
    return fields
