"""What the dashboard shows, read from Redis at one moment."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from backend.api.outcome import UnavailableError
from backend.api.redis_backend import RedisBackend
from coffee_core.keys import STREAM, MetricKeys
from coffee_core.menu import DRINKS, STORES
from coffee_core.pipelines import Pipeline

_HASHES = (
    ("drink_counts", "drink_counts", DRINKS),
    ("drink_revenue_cents", "drink_revenue", DRINKS),
    ("store_counts", "store_counts", STORES),
    ("store_revenue_cents", "store_revenue", STORES),
)
_READS = 4 + len(_HASHES)


def _commands(keys: MetricKeys) -> list[tuple[str, ...]]:
    hashes = [("HGETALL", getattr(keys, key)) for _, key, _ in _HASHES]
    return [
        ("GET", keys.total_orders),
        ("GET", keys.total_revenue),
        ("HGETALL", keys.counters),
        ("HGETALL", keys.latency),
        *hashes,
    ]


_COMMANDS = [
    ("TIME",),
    ("XLEN", STREAM),
    *(each for pipeline in Pipeline for each in _commands(MetricKeys(pipeline))),
]


class Reading:
    """One snapshot of all three pipelines."""

    def __init__(self, replies: Sequence[Any]) -> None:
        (seconds, micros), entries, *rest = replies
        self.time_us = int(seconds) * 1_000_000 + int(micros)
        """When, by the clock of Redis: µs since the epoch."""
        self.stream_entries = int(entries)
        """Entries of v2's stream that no worker has finished."""
        parts = [rest[start : start + _READS] for start in range(0, len(rest), _READS)]
        self.totals = {str(each): _totals(part) for each, part in zip(Pipeline, parts, strict=True)}
        """Pipeline → what ``schema.Totals`` says."""
        self.latency = {
            str(each): {int(bucket): int(count) for bucket, count in _pairs(part[3]).items()}
            for each, part in zip(Pipeline, parts, strict=True)
        }
        """Pipeline → bucket of ``coffee_core.latency`` → orders that became visible that late."""

    def same_as(self, other: "Reading | None") -> bool:
        """Tell whether nothing has changed but the time."""
        return other is not None and (self.stream_entries, self.totals) == (other.stream_entries, other.totals)

    def json(self) -> bytes:
        """Return what ``schema.Dashboard`` says, in one line."""
        said = {"time_us": self.time_us, "stream_entries": self.stream_entries, "pipelines": self.totals}
        return json.dumps(said, separators=(",", ":")).encode()


async def read(redis: RedisBackend) -> Reading:
    """Read everything in one MULTI.

    Raises UnavailableError, also where a key holds what no pipeline writes, or OutcomeUnknownError where no answer
    came.
    """
    replies = await redis.read_at_once(*_COMMANDS)
    try:
        return Reading(replies)
    except ValueError as error:
        raise UnavailableError(f"a metric key holds no whole number ({error})") from error


def _totals(part: Sequence[Any]) -> dict[str, Any]:
    orders, revenue, counters, _, *hashes = part
    kept = _pairs(counters)
    update = kept.get(b"last_update_us")
    return {
        "orders": int(orders or 0),
        "revenue_cents": int(revenue or 0),
        **{
            name: {item: int(pairs.get(item.encode(), 0)) for item in menu}
            for (name, _, menu), pairs in zip(_HASHES, map(_pairs, hashes), strict=True)
        },
        "duplicates": int(kept.get(b"duplicates", 0)),
        "dead_letters": int(kept.get(b"dead", 0)),
        "last_update_us": None if update is None else int(update),
    }


def _pairs(flat: Sequence[bytes]) -> Mapping[bytes, bytes]:
    return dict(zip(flat[::2], flat[1::2], strict=True))
