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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from redis.asyncio import Redis

from backend.clients.daemon import Database
from backend.clients.kafka import Bounds, KafkaLogs, above
from backend.clients.servers import Servers
from backend.pipelines.balance import (
    NOTHING,
    Balance,
    difference,
    explained_by_in_flight,
    read_shown,
    same_content,
    same_source,
    stored,
    unlogged,
    whole_number,
)
from backend.pipelines.topic.acknowledged import read_truncated, truncation
from backend.pipelines.v3_kafka.last_records import find_lost_ends, lost_ends
from backend.pipelines.windows import QUERY, arguments, of_rows
from coffee_core.clock import now_us, to_datetime
from coffee_core.errors import CoffeeError
from coffee_core.keys import DEAD_TOPIC, FLINK_GROUP, TOPIC, MetricKeys
from coffee_core.menu import MAX_PRICE_CENTS
from coffee_core.money import from_cents
from coffee_core.pipelines.constants import V3
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
    cut_off: tuple[int, ...] = ()
    """Partitions that have lost their end, up to which the job had read."""
    truncated: Mapping[int, int] = field(default_factory=dict)
    """Partition → acknowledged records that it has lost with its end."""


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
        cut_off=await find_lost_ends(servers.client, logs, bounds),
        truncated=await read_truncated(servers.client, logs, V3),
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
    if log.cut_off:
        notes.append(
            f"{lost_ends(log.cut_off)}: `--deep` names the orders that were lost with it, or passed over since;"
            " `coffee replay v3` counts what the topic holds now"
        )
    if log.truncated:
        notes.append(truncation(log.truncated, TOPIC))
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
        log_short=off_log + max(short, len(log.cut_off)),
        truncated=sum(log.truncated.values()),
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
