"""The balance of v3: the length of the topic against the job's counts of what became of its records.

The job writes to Redis, in one step, how many orders it has counted, how many repeats and how many dead letters;
its rows go to PostgreSQL on their own. Read in this order: metrics, committed offsets, rows, length of the topic.
So what has been shown or stored is on the log when its length is read, and what is in flight is never negative. A
checkpoint flushes both sinks before its offsets are committed: below these, whatever was shown has its row; above,
rows may still be written, by this job or by the one that continues after a crash.

Offsets are not records: markers of transactions take some, and what was taken back or compacted leaves holes. So
no more can be in flight than lies above the offsets that were committed before the metrics were read, and at rest
no more than can be read there.
"""

import asyncio
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import accumulate
from typing import Any

from redis.asyncio import Redis

from backend.clients.daemon import Database
from backend.clients.kafka import Bounds, KafkaLogs, Record, above
from backend.clients.servers import Servers
from backend.pipelines.balance import (
    NOTHING,
    Balance,
    IdComparison,
    difference,
    explained_by_in_flight,
    read_shown,
    same_content,
    same_source,
    stored,
    unlogged,
    whole_number,
)
from backend.pipelines.windows import QUERY, arguments, of_rows
from coffee_core.clock import now_us, to_datetime
from coffee_core.errors import CoffeeError, OrderError
from coffee_core.keys import DEAD_TOPIC, FLINK_GROUP, TOPIC, MetricKeys
from coffee_core.menu import MAX_PRICE_CENTS
from coffee_core.money import from_cents
from coffee_core.order import Order
from coffee_core.pipelines.constants import V3
from coffee_core.resources import sql
from coffee_core.totals import Totals
from coffee_core.windows import MOST_MINUTES, WINDOW_S, StoreSums, starts

METRICS = MetricKeys(V3)
_AT_REST_US = 2_000_000
_MOST_COUNTED = 200_000
"""Offsets above the committed ones up to which their records are counted by reading them."""
_FLUSHED_AFTER_S = 0.1
"""Seconds in which the JDBC sink, which flushes every 50 ms, has stored what the metrics have shown."""


@dataclass(frozen=True, slots=True)
class TopicCounts:
    """The counts of the two topics and of the job."""

    records: int
    """Records of the topic."""
    counted: int | None
    """Orders of the job's state, as last written to Redis; None where Redis does not know."""
    duplicates: int
    """Records that the state has dropped as repeats."""
    dead: int
    """Records that the state has counted as dead letters."""
    letters: int
    """Records of the dead-letter topic; after a restore a letter may stand there twice."""
    unflushed: int = 0
    """Records above the committed offsets, whose rows may follow what is shown of them."""
    unread: int | None = None
    """Records at most that the job has not counted, by its committed offsets; None where these are not known."""
    uncommitted: int = 0
    """Records behind the beginning of a transaction that is open: the job reads them when it has ended."""


async def audit_v3(servers: Servers, logs: KafkaLogs, *, unique_timestamps: bool) -> Balance:
    """Take the balance. Raises the errors of the servers."""
    known = known_windows()
    read = await logs.committed(FLINK_GROUP, TOPIC)
    shown, _, counters = await read_shown(servers.client, METRICS)
    committed = await logs.committed(FLINK_GROUP, TOPIC)
    await asyncio.sleep(_FLUSHED_AFTER_S)
    # After the totals: the windows go to Redis on their own.
    windows_shown = await _shown_windows(servers.client, known)
    connection = servers.database
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        rows = await stored(connection, V3)
        copies = await same_source(connection, V3)
        alike = await same_content(connection, V3, unique_timestamps=True) if unique_timestamps else None
        off_log = await unlogged(connection, V3)
        windows_stored = await _stored_windows(connection, known)
    # The ends first: what comes meanwhile is not taken for a transaction that is open.
    ends, bounds = await logs.ends(TOPIC), await logs.bounds(TOPIC)
    uncommitted = sum(max(0, ends.get(partition, 0) - last) for partition, (_, last) in bounds.items())
    log = TopicCounts(
        records=_length(bounds) + uncommitted,
        counted=whole_number("shown_orders", counters["shown_orders"]) if "shown_orders" in counters else None,
        duplicates=whole_number("duplicates", counters.get("duplicates")),
        dead=whole_number("dead", counters.get("dead")),
        letters=_length(await logs.bounds(DEAD_TOPIC)),
        unflushed=_length(above(bounds, committed)),
        unread=_length(above(bounds, read)) + uncommitted,
        uncommitted=uncommitted,
    )
    balance = balance_v3(log, shown, rows, copies, off_log, alike)
    if balance.in_flight and _at_rest(counters) and _length(above(bounds, read)) <= _MOST_COUNTED:
        log = replace(log, unread=await logs.count(TOPIC, above(bounds, read)) + uncommitted)
        balance = balance_v3(log, shown, rows, copies, off_log, alike)
    return replace(
        balance, windows_off=differing_windows(windows_shown, windows_stored, balance.in_flight, log.unflushed)
    )


def _length(bounds: Bounds) -> int:
    return sum(last - first for first, last in bounds.values())


def _at_rest(counters: Mapping[str, str]) -> bool:
    """Return whether the job has shown nothing for a while."""
    return now_us() - whole_number("last_update_us", counters.get("last_update_us")) > _AT_REST_US


def balance_v3(
    log: TopicCounts, shown: Totals, stored: Totals, copies: Totals, off_log: int, alike: Totals | None = None
) -> Balance:
    """Balance what was read in the order metrics, rows, length of the topic.

    ``copies`` are rows beyond the first of their record, ``off_log`` rows without a record, ``alike`` rows beyond
    the first of their order.
    """
    notes = []
    rest = log.records - (log.counted or 0) - log.duplicates - log.dead
    if log.counted is not None and 0 < copies.orders <= -rest:
        notes.append(
            f"{copies.orders:,} places on the topic have two rows: of it and of a topic before it, or duplicates,"
            " which cannot be told"
        )
        copies = NOTHING
    from_log = stored.orders - copies.orders - off_log
    holes = 0
    if log.counted is None:
        if from_log:
            notes.append("Redis does not know the job's totals (a flush?): the next order writes them again")
        counted, in_flight = from_log, _at_most(log.unread, log.records - from_log)
        short = max(0, from_log - log.records)
    else:
        counted = log.counted
        in_flight, short = _at_most(log.unread, rest), max(0, -rest)
        holes = max(0, rest) - in_flight
        # Rows may be ahead of the metrics by what is in flight; any more have no record on the log.
        short = max(short, from_log - counted - in_flight)
    if holes:
        notes.append(
            f"{holes:,} offsets of the topic hold nothing that the job has counted: they are of transactions or of"
            " what was compacted, or records were passed over (`--deep` tells)"
        )
    if log.uncommitted:
        notes.append(
            f"a transaction is open on the topic: the job reads no further until it has ended, {log.uncommitted:,}"
            " offsets wait"
        )
    letters_missing = max(0, log.dead - log.letters)
    if letters_missing:
        notes.append(f"{letters_missing} dead letters are not on {DEAD_TOPIC}")
    behind = max(0, counted - from_log)
    if 0 < behind <= log.unflushed:
        notes.append(f"{behind} shown orders have yet to become rows: the next checkpoint sees to it")
    known = log.counted is not None and shown.orders == counted
    in_step = known and explained_by_in_flight(shown, stored, in_flight, log.unflushed)
    return Balance(
        pipeline=V3,
        accepted=log.records - holes,
        stored=stored,
        shown=shown,
        duplicates_dropped=log.duplicates,
        dead_letters=log.dead,
        in_flight=in_flight,
        lost=(behind if behind > log.unflushed else 0) + letters_missing,
        duplicated=alike if alike is not None and alike.orders > copies.orders else copies,
        drift=NOTHING if in_step else difference(shown, stored),
        log_short=off_log + short,
        notes=tuple(notes),
    )


def _at_most(bound: int | None, number: int) -> int:
    """Return a number of records, which is not negative and exceeds no bound that is known."""
    return max(0, number if bound is None else min(number, bound))


# The windows against the rows: which window counts an order is a function of the row alone.


@dataclass(frozen=True, slots=True)
class WindowSums:
    """Windows and late orders, as Redis shows them or as the rows have them."""

    windows: Mapping[int, StoreSums]
    """First second of a window → its sums; all that have not expired, also those without an order."""
    late: StoreSums
    """What came after its window was closed, ever."""

    def cells(self) -> Iterator[tuple[str, int, int]]:
        """Return name, orders and cents of each store in each window, and of what it has got too late."""
        named = [(f"{_clock(start_s):%H:%M}", sums) for start_s, sums in self.windows.items()]
        for name, sums in (*named, ("late", self.late)):
            for store, orders in sums.store_counts.items():
                yield f"{name} {store}", orders, sums.store_revenue_cents[store]


def _clock(start_s: int) -> datetime:
    return to_datetime(start_s * 1_000_000)


def known_windows() -> list[int]:
    """Return the first seconds of all windows that Redis has, and of the one that may begin while it is read."""
    known = starts(now_us(), MOST_MINUTES)
    return [*known, known[-1] + WINDOW_S]


async def _shown_windows(client: Redis, known: list[int]) -> WindowSums:
    """Read what Redis shows. Raises its errors, and CoffeeError where a field is no number."""
    async with client.pipeline(transaction=True) as read:
        for key in (*map(METRICS.window, known), METRICS.late):
            read.hgetall(key)
        found = await read.execute()
    try:
        *windows, late = map(StoreSums.of_fields, found)
    except ValueError as error:
        raise CoffeeError(f"a window of v3 holds no whole number ({error}): `coffee replay v3`") from error
    return WindowSums(dict(zip(known, windows, strict=True)), late)


async def _stored_windows(connection: Database, known: list[int]) -> WindowSums:
    """Add up the rows. Raises asyncpg's errors."""
    return WindowSums(*of_rows(await connection.fetch(QUERY, *arguments(V3, known)), known))


def differing_windows(shown: WindowSums, stored: WindowSums, in_flight: int, unflushed: int) -> tuple[str, ...]:
    """Name the windows that differ, as ``10:00 uptown +1 (+4.50)``, shown minus stored.

    None where orders on their way explain it: rows may be ahead by the orders in flight, and behind by those that
    no checkpoint has flushed: whole orders.
    """
    ahead = behind = 0
    whole, named = True, []
    for (name, orders, cents), (_, rows, row_cents) in zip(shown.cells(), stored.cells(), strict=True):
        by, by_cents = orders - rows, cents - row_cents
        if by or by_cents:
            named.append(f"{name} {by:+,} ({'+' * (by_cents > 0)}{from_cents(by_cents)})")
        ahead, behind = ahead + max(0, by), behind + max(0, -by)
        whole = whole and by * by_cents >= 0 and abs(by) <= abs(by_cents) <= abs(by) * MAX_PRICE_CENTS
    return () if whole and ahead <= unflushed and behind <= in_flight else tuple(named)


# Id by id: every record of the topic must be a row with the same content, a repeat of one, or a dead letter.

_ROWS_BELOW = sql("backend.pipelines.v3_kafka", "count_rows_below")
_MOST_NAMED = 10
"""How many ids are named."""


@dataclass(slots=True)
class _IdFindings:
    """What was found so far; ``lost`` and ``altered`` are places on the topic."""

    committed: dict[int, int]
    """Partition → the offset below which both sinks were flushed."""
    compared: int = 0
    own: int = 0
    """Records that have a row of their own."""
    conflicts: int = 0
    """Repeats that are another order than the one first stored."""
    lost: list[str] = field(default_factory=list)
    altered: list[str] = field(default_factory=list)

    def note_missing(self, record: Record) -> None:
        if record.offset < self.committed.get(record.partition, 0):
            self.lost.append(record.origin)


async def compare_ids_v3(servers: Servers, logs: KafkaLogs) -> IdComparison:
    """Read the whole topic and compare it with the rows. Raises the errors of the servers.

    What lies below the offsets that the job has committed was flushed to both sinks before: where that is nowhere,
    it is lost. What lies above them may still be in flight.
    """
    found = _IdFindings(await logs.committed(FLINK_GROUP, TOPIC))
    letters: set[str] = set()
    async for batch in logs.records(DEAD_TOPIC, await logs.bounds(DEAD_TOPIC)):
        letters |= {(record.key or b"").decode(errors="replace") for record in batch}
    bounds = await logs.bounds(TOPIC)
    async for batch in logs.records(TOPIC, bounds):
        await _compare(servers.database, batch, letters, found)
    below = {partition: last for partition, (_, last) in bounds.items()}
    rows = await servers.database.fetchval(_ROWS_BELOW, list(below), list(below.values()))
    return IdComparison(
        compared=found.compared,
        scope="every record of the topic against the rows and the dead letters"
        + (f"; {found.conflicts} repeats said something else and were dropped" if found.conflicts else ""),
        lost=len(found.lost),
        lost_ids=found.lost[:_MOST_NAMED],
        altered=len(found.altered),
        altered_ids=found.altered[:_MOST_NAMED],
        # Rows that were stored while the topic was read are below the bounds too, and had a record of their own.
        unlogged=max(0, int(rows) - found.own),
    )


async def _compare(connection: Database, batch: list[Record], letters: set[str], found: _IdFindings) -> None:
    found.compared += len(batch)
    orders: list[tuple[Record, Order]] = []
    for record in batch:
        order = read_order(record.value)
        if order is not None:
            orders.append((record, order))
        elif record.origin not in letters:
            found.note_missing(record)
    rows = await look_up(connection, [(record.origin, order) for record, order in orders])
    for (record, _), row in zip(orders, rows, strict=True):
        if not row["found"]:
            if record.origin not in letters:
                found.note_missing(record)
        elif row["own"]:
            found.own += 1
            if not row["same"]:
                found.altered.append(record.origin)
        elif not row["same"] and record.origin not in letters:
            found.conflicts += 1


_DEEPEST = 999
"""How deep the job reads objects and arrays within one another: Jackson's limit, less one that its SQL adds."""
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]')
_STEPS = {"[": 1, "{": 1, "]": -1, "}": -1}


def read_order(value: bytes | None) -> Order | None:
    """Return the order of a record's value as the job reads it, or None where it must be a dead letter."""
    # As Flink reads it: what is no UTF-8 is replaced, and bytes are never UTF-16. JSON knows no NaN.
    text = (value or b"").decode(errors="replace")
    if text.count("[") + text.count("{") > _DEEPEST and _depth(text) > _DEEPEST:
        return None
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(limit + 2 * _DEEPEST)
    try:
        fields = json.loads(text, parse_constant=_refuse_constant)
        return Order.from_fields(fields) if isinstance(fields, dict) else None
    except (ValueError, OrderError):
        return None
    finally:
        sys.setrecursionlimit(limit)


def _depth(text: str) -> int:
    """Return how deep the brackets of a JSON text are nested."""
    steps = (_STEPS.get(token, 0) for token in _TOKEN.findall(text))
    return max(accumulate(steps), default=0)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


_LOOK_UP = sql("backend.pipelines.v3_kafka", "look_up")


async def look_up(connection: Database, orders: Sequence[tuple[str, Order]]) -> list[Any]:
    """Look for the rows of orders, of which the place on the topic comes first; the answer is in their order.

    For each it has ``found``: there is a row under the message id; ``own``: that row came from this place;
    ``same``: its content agrees. Raises asyncpg's errors.
    """
    rows: list[Any] = await connection.fetch(
        _LOOK_UP,
        str(V3),
        [order.message_id for _, order in orders],
        [order.drink for _, order in orders],
        [order.store for _, order in orders],
        [order.price_cents for _, order in orders],
        [order.ordered_at_us for _, order in orders],
        [place for place, _ in orders],
    )
    return rows
