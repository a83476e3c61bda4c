"""Shows the windows of v3 in Redis: absolute sums, one Lua call for a window that has changed."""

import time
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from redis import Redis

from coffee_core.clock import now_us
from coffee_core.keys import MetricKeys
from coffee_core.menu import STORES
from coffee_core.pipelines import Pipeline
from coffee_core.windows import KEPT_S, MOST_MINUTES, WINDOW_S, starts
from flink.patience import GIVE_UP_AFTER_S, SHOWN, TIMEOUT_S, shown_at_last

KEYS = MetricKeys(Pipeline.V3)
_ENDING_S = 5.0
"""Seconds before its expiry in which a window says nothing any more of whether Redis was flushed."""


class RedisWindows:
    """The writer of one job, or of one of its subtasks.

    Flink tells of a window only when an order falls into it. What a flush of Redis takes away is therefore kept
    here as well, and written again with the next order.
    """

    def __init__(self, redis_url: str, epoch: str, give_up_after_s: float = GIVE_UP_AFTER_S) -> None:
        self._redis: Redis = Redis.from_url(
            redis_url, decode_responses=True, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S
        )
        self._script = self._redis.register_script(
            files("flink").joinpath("show_window.lua").read_text(encoding="utf-8")
        )
        self._epoch = epoch
        self._give_up_after_s = give_up_after_s
        self._shown: dict[int, tuple[int, ...]] | None = None
        """First second of a window → orders and cents of each store, as they stand in Redis; None until read."""
        self._unchecked: list[int] = []
        """Windows of which to see, one with each write, whether they are still there."""
        self._whole = True
        """False from a flush until all windows are written again."""

    def close(self) -> None:
        """Close the connection."""
        self._redis.close()

    def show(self, row: Sequence[int]) -> int:
        """Show a window: its first second since the epoch, then orders and cents of each store.

        Returns what the script answered, ``SHOWN`` also of a window that has expired already or lies in the future
        (by a record past the API: it must not fill Redis); waits and raises as ``shown_at_last`` does.
        """
        start_s, *cells = row
        return shown_at_last(lambda: self._attempt(start_s, tuple(cells)), "a window", self._give_up_after_s)

    def _attempt(self, start_s: int, cells: tuple[int, ...]) -> int:
        if self._shown is None:
            self._shown = self._read()
        self._forget_expired()
        if _expires_at_s(start_s) <= time.time() or start_s > time.time() + WINDOW_S:
            return SHOWN
        self._unchecked = self._unchecked or list(self._shown)
        checked = self._unchecked.pop() if self._unchecked else None
        answer, is_there = self._call(start_s, cells, checked)
        if answer < 0:
            return answer
        self._whole = self._whole and is_there
        if not self._whole:
            for known, sums in self._shown.items():
                self._call(known, sums, None)
            self._whole = True
        if answer == SHOWN:
            self._shown[start_s] = cells
        return answer

    def _call(self, start_s: int, cells: tuple[int, ...], checked: int | None) -> tuple[int, bool]:
        """Return what the script answered, and whether the window that was to be checked is there."""
        fields: list[str | int] = []
        for store, orders, cents in zip(STORES, cells[::2], cells[1::2], strict=True):
            fields += (store, orders, cents)
        answer: Any = self._script(
            keys=[KEYS.fence, KEYS.window(start_s), KEYS.window(checked or start_s), KEYS.counters],
            args=[self._epoch, _expires_at_s(start_s), *fields],
        )
        return int(answer[0]), checked is None or bool(answer[1])

    def _forget_expired(self) -> None:
        assert self._shown is not None
        now = time.time() + _ENDING_S
        for start_s in [each for each in self._shown if _expires_at_s(each) <= now]:
            del self._shown[start_s]
            self._unchecked = []

    def _read(self) -> dict[int, tuple[int, ...]]:
        """Return what this job has shown before it was restarted."""
        known = starts(now_us(), MOST_MINUTES)
        with self._redis.pipeline(transaction=True) as batch:
            batch.get(KEYS.fence)
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


def _expires_at_s(start_s: int) -> int:
    return start_s + WINDOW_S + KEPT_S


def _cells(fields: dict[str, str]) -> tuple[int, ...] | None:
    try:
        return tuple(int(fields.get(f"{store}:{kind}", 0)) for store in STORES for kind in ("orders", "revenue"))
    except ValueError:
        return None
