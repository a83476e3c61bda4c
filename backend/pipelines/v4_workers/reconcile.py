"""Brings v4's metrics back to what PostgreSQL holds, while orders go on.

The two groups go their own ways. Each drops repeats: the workers by the table's key, the aggregators by the ids
that they remember. Of the records of one partition, within the horizon, both must keep the same first one. For all
others (a repeat in another partition or after the horizon, what PostgreSQL refuses although it parses) the workers
note a doubt with their offsets, and the table is right: once an aggregator has passed all that was stored when the
doubt was read, a cut of the metrics is compared with the rows below its offsets, and the difference is added.
"""

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis

from backend.clients.daemon import Database
from backend.pipelines.balance import difference, totals_of_rows, whole_number
from coffee_core import metrics
from coffee_core.errors import CoffeeError
from coffee_core.keys import MetricKeys
from coffee_core.menu import DRINKS, STORES
from coffee_core.pipelines.constants import V4
from coffee_core.resources import lua, sql
from coffee_core.totals import Totals

PACKAGE = "backend.pipelines.v4_workers"
METRICS = MetricKeys(V4)
SCRIPT_KEYS = (
    *(METRICS.offsets, METRICS.counters, METRICS.latency),
    *(*METRICS.ids, *METRICS.metrics, METRICS.last_records),
)
"""The keys of every script, in the order that ``shared.lua`` names."""
_OFFSETS, _TOTALS_BELOW, _TO_FORGET, _FORGOTTEN = (
    sql(PACKAGE, name) for name in ("offsets", "totals_below", "to_forget", "forgotten")
)
_STORED_WITHIN_S = 2.0
"""Seconds within which the workers have stored what a cut shows, unless they are behind."""
_POLL_S = 0.02
_SCAN_TIMEOUT_S = 110.0


@dataclass(frozen=True, slots=True)
class Stored:
    """What the workers have done with the records of the topic, at one moment."""

    offsets: Mapping[int, int]
    """Partition → the offset below which every record is a row, a repeat or a dead letter."""
    records: int = 0
    duplicates: int = 0
    dead: int = 0
    doubts: int = 0
    last_records: Mapping[int, str] = field(default_factory=dict)
    """Partition → ``mark_of`` the last record below its offset, where there is one."""


@dataclass(frozen=True, slots=True)
class Cut:
    """What Redis holds at one moment."""

    shown: Totals
    offsets: Mapping[int, int]
    """Partition → the offset below which every record has been counted or dropped."""
    counters: Mapping[str, str]

    def number(self, name: str) -> int:
        """Return a counter, 0 where it is missing. Raises CoffeeError where it is no whole number."""
        return whole_number(name, self.counters.get(name))

    def not_stored(self, stored: Stored) -> int:
        """Return how many offsets of it the workers have yet to store."""
        return sum(max(0, offset - stored.offsets.get(number, 0)) for number, offset in self.offsets.items())

    def not_counted(self, stored: Stored) -> int:
        """Return how many offsets that are stored it does not show yet."""
        return sum(max(0, offset - self.offsets.get(number, 0)) for number, offset in stored.offsets.items())


async def read_stored(connection: Database) -> Stored:
    """Read the workers' offsets and counts. Raises asyncpg's errors."""
    rows = await connection.fetch(_OFFSETS)
    counts = {name: sum(row[name] for row in rows) for name in ("records", "duplicates", "dead", "doubts")}
    marks = {row["partition"]: row["last_record"] for row in rows if row["last_record"]}
    return Stored({row["partition"]: row["next_offset"] for row in rows}, **counts, last_records=marks)


async def take_cut(client: Redis) -> Cut:
    """Read metrics, offsets and counters. Raises an error of Redis, and CoffeeError on what is no number."""
    async with client.pipeline(transaction=True) as read:
        for command in metrics.read_commands(METRICS):
            read.execute_command(*command)
        read.hgetall(METRICS.offsets)
        *replies, offsets = await read.execute()
    try:
        found = metrics.parse_metrics(replies)
        numbers = {int(number): metrics.whole_number("offset", offset) for number, offset in offsets.items()}
    except ValueError as error:
        raise CoffeeError(f"{error}; delete it") from error
    return Cut(found.totals, numbers, found.counters)


async def wait_until_stored(connection: Database, cut: Cut, within_s: float = _STORED_WITHIN_S) -> Stored:
    """Return what the workers have stored, as soon as that is all that the cut shows, or else after a while."""
    give_up_at_s = time.monotonic() + within_s
    while True:
        stored = await read_stored(connection)
        if not cut.not_stored(stored) or time.monotonic() > give_up_at_s:
            return stored
        await asyncio.sleep(_POLL_S)


async def totals_below(connection: Database, cut: Cut) -> Totals:
    """Add up the rows that the metrics of a cut must show. Raises asyncpg's errors."""
    arguments = list(cut.offsets), list(cut.offsets.values())
    return totals_of_rows(await connection.fetch(_TOTALS_BELOW, *arguments, timeout=_SCAN_TIMEOUT_S))


async def reconcile(connection: Database, client: Redis) -> Totals | None:
    """Take the drift out of the metrics and return it, shown minus stored; None where one has to try again later.

    That is where one of the groups is behind the other, or a replay, a flush or another reconciliation came in
    between. Costs a scan of the partition. Raises the errors of both servers.
    """
    before = await read_stored(connection)
    to_forget = [row["message_id"] for row in await connection.fetch(_TO_FORGET)]
    cut = await take_cut(client)
    # What was stored has been counted, or dropped, by then: nothing that the doubts are about comes later.
    if cut.not_counted(before) or cut.not_stored(await wait_until_stored(connection, cut)):
        return None
    drift = difference(cut.shown, await totals_below(connection, cut))
    correction = {
        **{name: cut.number(name) for name in ("reconciled", "suspect", "shown_orders")},
        "orders": cut.shown.orders,
        # What is only forgotten now may have been met once more since the cut: the next reconciliation sees to it.
        "settled": cut.number("settled") - 1 if to_forget else before.doubts,
        "add_orders": -drift.orders,
        "add_revenue": -drift.revenue_cents,
        "hashes": [_changes(of_hash) for of_hash in drift.hashes],
    }
    script = client.register_script(lua(PACKAGE, "correct_metrics"))
    args = json.dumps(correction), *(message_id.bytes for message_id in to_forget)
    applied: Any = await script(keys=SCRIPT_KEYS, args=args)
    if not applied:
        return None
    await connection.execute(_FORGOTTEN, to_forget)
    return drift


def _changes(drift: Mapping[str, int]) -> list[tuple[str, int, bool]]:
    """Return field, amount to add and whether it is on the menu; every field of the menu, so that each exists."""
    menu = {*DRINKS, *STORES}
    return [(field, -by, field in menu) for field, by in sorted(drift.items())]
