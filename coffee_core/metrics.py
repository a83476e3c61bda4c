"""The metrics of a pipeline in Redis: the commands that read them at one moment, and the parsing of the replies.

Every reader of the metric keys (the API, the dashboard, the audit) sends these commands with a client of its own,
in one transaction, so that totals and breakdowns agree.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from coffee_core.keys import MetricKeys
from coffee_core.latency import MAX_BUCKET
from coffee_core.menu import DRINKS, STORES
from coffee_core.totals import Totals

_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,19}")
HASHES = ("drink_counts", "drink_revenue", "store_counts", "store_revenue")
"""The four breakdowns by their Redis names, in the order of ``MetricKeys.hashes`` and ``Totals.hashes``."""
READS = 4 + len(HASHES)
"""Commands for each pipeline."""


@dataclass(frozen=True, slots=True)
class Metrics:
    """All metrics of one pipeline."""

    totals: Totals
    """The six metric keys; a breakdown has also what is on no menu."""
    counters: Mapping[str, str]
    """The lab's counters: duplicates, dead, last_update_us, and what else the pipeline keeps."""
    latency: Mapping[int, int]
    """Bucket of ``coffee_core.latency`` → orders that became visible that late."""


def read_commands(keys: MetricKeys) -> list[tuple[str, str]]:
    """Return the commands whose replies ``parse_metrics`` takes, ``READS`` of them."""
    hashes = (keys.counters, keys.latency, *keys.hashes)
    return [("GET", keys.total_orders), ("GET", keys.total_revenue), *(("HGETALL", key) for key in hashes)]


def parse_metrics(replies: Sequence[Any]) -> Metrics:
    """Read the replies: texts, None for a missing key, mappings. Raises ValueError naming what is no number."""
    orders, revenue, counters, latency, *hashes = replies
    buckets = {_bucket(bucket): whole_number(f"latency.{bucket}", count) for bucket, count in latency.items()}
    return Metrics(parse_totals(orders, revenue, hashes), counters, buckets)


def parse_totals(orders: str | None, revenue: str | None, hashes: Sequence[Mapping[str, Any]]) -> Totals:
    """Read the six keys, the breakdowns in the order of ``HASHES``. Raises ValueError naming what is no number."""
    drinks, stores = dict.fromkeys(DRINKS, 0), dict.fromkeys(STORES, 0)
    full = [
        menu | {field: whole_number(f"{name}.{field}", value) for field, value in held.items()}
        for name, menu, held in zip(HASHES, (drinks, drinks, stores, stores), hashes, strict=True)
    ]
    return Totals(whole_number("total_orders", orders), whole_number("total_revenue", revenue), *full)


def whole_number(name: str, value: str | bytes | int | None) -> int:
    """Return what a key or field holds, 0 where it is missing.

    Raises ValueError where it is no whole number as Redis counts with them: 64 bits, no blanks, no other digits.
    """
    if value is None:
        return 0
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    if not (_WHOLE_NUMBER.fullmatch(text) and -(2**63) <= int(text) < 2**63):
        raise ValueError(f"{name} is no whole number: {text[:40]!r}")
    return int(text)


def _bucket(field: str) -> int:
    bucket = whole_number("a latency's bucket", field)
    if not 0 <= bucket <= MAX_BUCKET:
        raise ValueError(f"latency has no bucket {bucket}")
    return bucket
