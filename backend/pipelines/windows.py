"""Windows of a pipeline: of its rows by one scan of its partition, or as its processor keeps them in Redis."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any, Protocol

from backend.clients.postgres import PostgresPool
from backend.clients.redis import RedisClient
from coffee_core.clock import to_datetime
from coffee_core.errors import UnavailableError
from coffee_core.keys import MetricKeys
from coffee_core.menu import STORES
from coffee_core.metrics import whole_number
from coffee_core.pipelines import Pipeline
from coffee_core.resources import sql
from coffee_core.windows import LATE_AFTER_S, WINDOW_S, StoreSums, Windows

# The query over the rows.

QUERY = sql("backend.pipelines", "windows")
"""Takes what ``arguments`` returns; its rows are for ``of_rows``."""


def arguments(pipeline: Pipeline, known: Sequence[int]) -> tuple[object, ...]:
    """Return the arguments of the query for windows that begin in these seconds, the oldest first."""
    first, last = (to_datetime(start_s * 1_000_000) for start_s in (known[0], known[-1]))
    return (str(pipeline), first, last, timedelta(seconds=WINDOW_S), timedelta(seconds=LATE_AFTER_S))


def of_rows(rows: Iterable[Any], known: Sequence[int]) -> tuple[dict[int, StoreSums], StoreSums]:
    """Return each of these windows, also those without an order, and what came late."""
    counts = {start_s: dict.fromkeys(STORES, 0) for start_s in (*known, None)}
    cents = {start_s: dict.fromkeys(STORES, 0) for start_s in (*known, None)}
    for row in rows:
        counts[row["start_s"]][row["store"]] = row["orders"]
        cents[row["start_s"]][row["store"]] = row["revenue_cents"]
    windows = {start_s: StoreSums(counts[start_s], cents[start_s]) for start_s in known}
    return windows, StoreSums(counts[None], cents[None])


# Where the API asks for windows.

ON_ITS_WAY_S = 10
"""Seconds after its acceptance in which an order has been committed, or given up."""


class WindowsSource(Protocol):
    """Where the API asks a pipeline for windows."""

    async def read(self, known: Sequence[int], now_us: int) -> Windows:
        """Return the windows that begin in these seconds. Raises UnavailableError, OutcomeUnknownError."""


class RowWindows:
    """Rows that are committed by the request: one scan of the pipeline's partition, each time."""

    def __init__(self, postgres: PostgresPool, pipeline: Pipeline) -> None:
        self._postgres = postgres
        self._pipeline = pipeline

    async def read(self, known: Sequence[int], now_us: int) -> Windows:
        """Scan the rows; what is final is a matter of the clock alone."""
        rows = await self._postgres.read_all(QUERY, *arguments(self._pipeline, known))
        return Windows(*of_rows(rows, known), now_us - (LATE_AFTER_S + ON_ITS_WAY_S) * 1_000_000)


class JobWindows:
    """Sums that the processor keeps in Redis, of one moment."""

    def __init__(self, redis: RedisClient, pipeline: Pipeline) -> None:
        self._redis = redis
        self._keys = MetricKeys(pipeline)

    async def read(self, known: Sequence[int], now_us: int) -> Windows:  # noqa: ARG002
        """Read the hashes of these windows and the watermark at once."""
        hashes = [*map(self._keys.window, known), self._keys.late]
        commands = [("HGETALL", key) for key in hashes]
        watermark, *found = await self._redis.read_at_once(("GET", self._keys.watermark), *commands)
        try:
            *windows, late = (StoreSums.of_fields(_fields(flat)) for flat in found)
            watermark_us = None if watermark is None else whole_number("watermark", watermark) * 1_000
        except ValueError as error:
            raise UnavailableError(f"a window in redis holds no whole number ({error})") from error
        return Windows(dict(zip(known, windows, strict=True)), late, watermark_us)


def _fields(flat: Sequence[bytes]) -> dict[str, str]:
    return {field.decode(): value.decode() for field, value in zip(flat[::2], flat[1::2], strict=True)}
