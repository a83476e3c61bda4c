"""Shows the tally of v3 in Redis: one Lua call for a row, whole or not at all, and only in the current epoch."""

from collections.abc import Iterator, Sequence
from importlib.resources import files
from typing import Any

from redis import Redis

from coffee_core.clock import now_us
from coffee_core.keys import MetricKeys
from coffee_core.latency import bucket_of
from coffee_core.menu import DRINKS, STORES
from coffee_core.pipelines import Pipeline
from flink.patience import GIVE_UP_AFTER_S, OLDER, SHOWN, TIMEOUT_S, shown_at_last
from flink.progress import Watermark

KEYS = MetricKeys(Pipeline.V3)
_CELLS = 2 * (len(DRINKS) + len(STORES))


class RedisTally:
    """The writer of one job."""

    def __init__(self, redis_url: str, epoch: str, give_up_after_s: float = GIVE_UP_AFTER_S) -> None:
        self._redis: Redis = Redis.from_url(
            redis_url, decode_responses=True, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S
        )
        # A Script object loads itself again where a restarted server answers NOSCRIPT.
        self._show = self._redis.register_script(files("flink").joinpath("show.lua").read_text(encoding="utf-8"))
        self._epoch = epoch
        self._give_up_after_s = give_up_after_s
        self._watermark = Watermark()
        self._seen: tuple[int, int] | None = None
        """Orders shown, and the sum of their accepted_at in µs; None until it has been read."""

    def close(self) -> None:
        """Close the connection."""
        self._redis.close()

    def show(self, row: tuple[Any, ...]) -> int:
        """Show one tally; its columns are those of ``flink.statements.tally_columns``.

        Returns what the script answered; waits and raises as ``shown_at_last`` does.
        """
        return shown_at_last(lambda: self._attempt(row), "the tally", self._give_up_after_s)

    def _attempt(self, row: tuple[Any, ...]) -> int:
        if self._seen is None:
            self._seen = self._read_seen()
        orders, revenue, *rest = row
        cells, (accepted_us, valid, dead), late, reached = _cut(rest, _CELLS, 3, 2 * len(STORES))
        now, sum_us = now_us(), int(accepted_us)
        watermark = self._watermark.after(reached, now)
        answer, shown_before = self._show(
            keys=[KEYS.fence, *KEYS.metrics, KEYS.latency, KEYS.counters, KEYS.late, KEYS.watermark],
            args=[
                *(self._epoch, orders, revenue, max(0, valid - orders), dead, now, sum_us),
                *(self._seen[0], self._bucket(orders, sum_us, now), "" if watermark is None else watermark),
                *(len(DRINKS), len(STORES), *_fields((*DRINKS, *STORES), cells), *_fields(STORES, late)),
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


def _cut(cells: Sequence[Any], *lengths: int) -> Iterator[Sequence[Any]]:
    """Cut into pieces of these lengths, and what is left."""
    for length in lengths:
        yield cells[:length]
        cells = cells[length:]
    yield cells


def _fields(names: Sequence[str], cells: Sequence[int]) -> list[str | int]:
    fields: list[str | int] = []
    for name, count, cents in zip(names, cells[::2], cells[1::2], strict=True):
        fields += (name, count, cents)
    return fields
