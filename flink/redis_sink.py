"""Writes the job's results to Redis: the totals and the windows, as absolute values, one Lua call for a row.

Does not depend on Flink: ``flink.functions`` calls it inside the job, and tests call it directly.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from redis import Redis
from redis.exceptions import BusyLoadingError, OutOfMemoryError, ReadOnlyError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from coffee_core.backoff import Backoff
from coffee_core.clock import now_us
from coffee_core.errors import CoffeeError
from coffee_core.keys import MetricKeys
from coffee_core.latency import bucket_of
from coffee_core.menu import DRINKS, STORES
from coffee_core.pipelines.constants import V3
from coffee_core.resources import lua
from coffee_core.windows import KEPT_S, LATE_AFTER_S, MOST_MINUTES, WINDOW_S, starts

KEYS = MetricKeys(V3)
SHOWN, OLDER, OTHER_EPOCH, NO_EPOCH = 1, 0, -1, -2
"""Answers of the scripts."""
TIMEOUT_S = 5.0
"""Seconds for a connection, or for an answer."""
GIVE_UP_AFTER_S = 30.0
"""Seconds of failed attempts after which Flink must restart the job."""
BEHIND_S = LATE_AFTER_S + 5
"""Seconds by which the watermark is behind: the lateness, and how far one order may fall behind another on its way
into the log (the API waits for the broker for 3 s)."""
IDLE_AFTER_S = 10.0
"""Seconds without an order after which a lane of partitions no longer holds the watermark back."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.02, 1.0
_TRANSIENT_ERRORS = (RedisConnectionError, RedisTimeoutError, BusyLoadingError, ReadOnlyError, OutOfMemoryError)
"""Errors of a Redis server that restarts, fails over or has no memory left."""
_CELLS = 2 * (len(DRINKS) + len(STORES))
_EXPIRING_S = 5.0
"""Seconds before its expiry in which a missing window is no longer a sign that Redis was flushed."""

log = logging.getLogger(__name__)


class NotShownError(CoffeeError):
    """Redis could not be written for too long; Flink restarts the job from its checkpoint, so nothing is lost."""


class _Writer:
    """A connection to Redis and the script of one job in one epoch."""

    def __init__(self, redis_url: str, script: str, epoch: str, give_up_after_s: float) -> None:
        self._redis: Redis = Redis.from_url(
            redis_url, decode_responses=True, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S
        )
        # A Script object loads itself again where a restarted server answers NOSCRIPT.
        self._script = self._redis.register_script(lua("flink", script))
        self._epoch = epoch
        self._give_up_after_s = give_up_after_s

    def close(self) -> None:
        """Close the connection."""
        self._redis.close()


class RedisTotals(_Writer):
    """Writes the totals of one job: one Lua call for a row, whole or not at all, and only in the current epoch."""

    def __init__(self, redis_url: str, epoch: str, give_up_after_s: float = GIVE_UP_AFTER_S) -> None:
        super().__init__(redis_url, "write_totals", epoch, give_up_after_s)
        self._watermark = Watermark()
        self._last: tuple[int, int] | None = None
        """Orders shown, and the sum of their accepted_at in µs; None until it has been read."""

    def show(self, row: tuple[Any, ...]) -> int:
        """Show one row of totals; its columns are those of ``flink.statements.tally_columns``.

        Returns the answer of the script; waits and raises as ``retry_until_shown`` does.
        """
        return retry_until_shown(lambda: self._attempt(row), "the tally", self._give_up_after_s)

    def _attempt(self, row: tuple[Any, ...]) -> int:
        if self._last is None:
            self._last = self._read_last()
        orders, revenue, *rest = row
        cells, (accepted_us, valid, dead), late, reached = _split(rest, _CELLS, 3, 2 * len(STORES))
        now, sum_us = now_us(), int(accepted_us)
        watermark = self._watermark.after(reached, now)
        answer, shown_before = self._script(
            keys=[KEYS.epoch, *KEYS.metrics, KEYS.latency, KEYS.counters, KEYS.late, KEYS.watermark],
            args=[
                *(self._epoch, orders, revenue, max(0, valid - orders), dead, now, sum_us),
                *(self._last[0], self._bucket(orders, sum_us, now), "" if watermark is None else watermark),
                *(len(DRINKS), len(STORES), *_fields((*DRINKS, *STORES), cells), *_fields(STORES, late)),
            ],
        )
        if answer == SHOWN:
            self._last = (orders, sum_us)
        elif answer == OLDER and shown_before != self._last[0]:
            self._last = None
        return int(answer)

    def _read_last(self) -> tuple[int, int]:
        found: Any = self._redis.hmget(KEYS.counters, ["shown_orders", "shown_accepted_us"])
        orders, sum_us = found
        try:
            return int(orders or 0), int(sum_us or 0)
        except ValueError:
            return 0, 0

    def _bucket(self, orders: int, sum_us: int, now: int) -> int | str:
        """Return the bucket of the mean latency of the orders since the last row shown, '' if there are none."""
        assert self._last is not None
        count = orders - self._last[0]
        return bucket_of(now - (sum_us - self._last[1]) / count) if count > 0 else ""


class RedisWindows(_Writer):
    """Writes the windows of one job, or of one of its subtasks: absolute sums, one Lua call for a changed window.

    Flink reports a window only when an order falls into it. The writer therefore keeps a copy of the windows, and
    writes them again with the next order after a flush of Redis. Of the windows of another subtask the copy is as
    old as its start: so a window that is there may still show less than its own writer has counted.
    """

    def __init__(self, redis_url: str, epoch: str, give_up_after_s: float = GIVE_UP_AFTER_S) -> None:
        super().__init__(redis_url, "write_window", epoch, give_up_after_s)
        self._shown: dict[int, tuple[int, ...]] | None = None
        """First second of a window → orders and cents of each store, as they stand in Redis; None until read."""
        self._unchecked: list[int] = []
        """Windows yet to be compared with Redis, one with each write."""
        self._whole = True
        """False from a flush until all windows are written again."""

    def show(self, row: Sequence[int]) -> int:
        """Show a window: its first second since the epoch, then orders and cents of each store.

        Returns the answer of the script, and ``SHOWN`` also for a window that has expired already or lies in the
        future (by a record past the API: it must not fill Redis); waits and raises as ``retry_until_shown`` does.
        """
        start_s, *cells = row
        return retry_until_shown(lambda: self._attempt(start_s, tuple(cells)), "a window", self._give_up_after_s)

    def _attempt(self, start_s: int, cells: tuple[int, ...]) -> int:
        if self._shown is None:
            self._shown = self._read()
        self._forget_expired()
        if _expires_at_s(start_s) <= time.time() or start_s > time.time() + WINDOW_S:
            return SHOWN
        self._unchecked = self._unchecked or list(self._shown)
        checked = self._unchecked.pop() if self._unchecked else None
        answer, found = self._call(start_s, cells, checked)
        if answer < 0:
            return answer
        self._whole = self._whole and (checked is None or found >= sum(self._shown[checked][::2]))
        if not self._whole:
            for known, sums in self._shown.items():
                self._call(known, sums, None)
            self._whole = True
        if answer == SHOWN:
            self._shown[start_s] = cells
        return answer

    def _call(self, start_s: int, cells: tuple[int, ...], checked: int | None) -> tuple[int, int]:
        """Return the answer of the script, and how many orders the window to be checked shows."""
        answer: Any = self._script(
            keys=[KEYS.epoch, KEYS.window(start_s), KEYS.window(checked or start_s), KEYS.counters],
            args=[self._epoch, _expires_at_s(start_s), *_fields(STORES, cells)],
        )
        return int(answer[0]), int(answer[1])

    def _forget_expired(self) -> None:
        assert self._shown is not None
        now = time.time() + _EXPIRING_S
        for start_s in [known for known in self._shown if _expires_at_s(known) <= now]:
            del self._shown[start_s]
            self._unchecked = []

    def _read(self) -> dict[int, tuple[int, ...]]:
        """Return the windows that this job had written before it was restarted."""
        known = starts(now_us(), MOST_MINUTES)
        with self._redis.pipeline(transaction=True) as batch:
            batch.get(KEYS.epoch)
            for start_s in known:
                batch.hgetall(KEYS.window(start_s))
            epoch, *found = batch.execute(raise_on_error=False)
        if epoch != self._epoch:
            return {}
        return {
            start_s: cells
            for start_s, fields in zip(known, found, strict=True)
            if isinstance(fields, dict) and fields and (cells := _cells(fields))
        }


def retry_until_shown(attempt: Callable[[], int], what: str, give_up_after_s: float) -> int:
    """Attempt until a script answers, and return its answer.

    Retries while the server is away and while the epoch is missing after a flush; raises NotShownError after
    ``give_up_after_s`` seconds.
    """
    give_up_at = time.monotonic() + give_up_after_s
    backoff = Backoff(_FIRST_PAUSE_S, _LONGEST_PAUSE_S)
    logged = False
    while True:
        problem: Exception | str = "the epoch is missing"
        try:
            answer = attempt()
        except _TRANSIENT_ERRORS as error:
            problem = error
        else:
            if answer != NO_EPOCH:
                return answer
        if time.monotonic() > give_up_at:
            raise NotShownError(f"{what} could not be shown in Redis: {problem}")
        if not logged:
            log.warning("Redis cannot be written, trying again: %s", problem)
            logged = True
        time.sleep(backoff.next_s())


class Watermark:
    """How far the job has come in all partitions: the least of the lanes that are not idle, less ``BEHIND_S``."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock`` returns seconds. A lane counts as busy when the job begins: it may hold orders."""
        self._clock = clock
        self._begun_s = clock()
        self._lanes: dict[int, tuple[int, float]] = {}
        """Lane → how far it has come (µs since the epoch), and when it last moved (s)."""

    def after(self, reached_us: Sequence[int], now_us: int) -> int | None:
        """Return the watermark in milliseconds since the epoch, None while it is unknown.

        ``reached_us`` is the latest acceptance in each lane, 0 where it had none. The watermark never passes
        ``now_us`` less ``BEHIND_S``, so that an acceptance from the future closes no window.
        """
        now_s = self._clock()
        for lane, reached in enumerate(reached_us):
            before, _ = self._lanes.get(lane, (None, 0.0))
            if before is None:
                self._lanes[lane] = (reached, self._begun_s if not reached else now_s)
            elif reached != before:
                self._lanes[lane] = (reached, now_s)
        busy = [reached for reached, moved_s in self._lanes.values() if now_s - moved_s < IDLE_AFTER_S]
        if not busy or not min(busy):
            return None
        return min(*busy, now_us) // 1_000 - BEHIND_S * 1_000


def _split(cells: Sequence[Any], *lengths: int) -> Iterator[Sequence[Any]]:
    """Split into pieces of these lengths and the rest."""
    for length in lengths:
        yield cells[:length]
        cells = cells[length:]
    yield cells


def _fields(names: Sequence[str], cells: Sequence[int]) -> list[str | int]:
    fields: list[str | int] = []
    for name, count, cents in zip(names, cells[::2], cells[1::2], strict=True):
        fields += (name, count, cents)
    return fields


def _expires_at_s(start_s: int) -> int:
    return start_s + WINDOW_S + KEPT_S


def _cells(fields: dict[str, str]) -> tuple[int, ...] | None:
    """Return orders and cents of each store, None where a field is no integer."""
    try:
        return tuple(int(fields.get(f"{store}:{kind}", 0)) for store in STORES for kind in ("orders", "revenue"))
    except ValueError:
        return None
