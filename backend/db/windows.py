"""The windows of a pipeline as its rows have them: one scan of its partition."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from importlib.resources import files
from typing import Any

from coffee_core.clock import to_datetime
from coffee_core.menu import STORES
from coffee_core.pipelines import Pipeline
from coffee_core.windows import LATE_AFTER_S, WINDOW_S, StoreSums

QUERY = (files("backend.db") / "sql" / "windows.sql").read_text(encoding="utf-8")
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
