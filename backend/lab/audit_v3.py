"""The balance of v3: the length of the topic against what the job's state says became of its records.

The job writes to Redis, in one step, how many orders it has counted, how many repeats and how many dead letters;
its rows go to PostgreSQL on their own. Read in this order: metrics, committed offsets, rows, length of the topic.
So what has been shown or stored is on the log when its length is read, and what is in flight is never negative. A
checkpoint flushes both sinks before its offsets are committed: below these, whatever was shown has its row; above,
rows may still be written, by this job or by the one that continues after a crash.
"""

import asyncio
from dataclasses import dataclass, replace

from backend.lab.audit_balance import NOTHING, Balance, excused
from backend.lab.audit_kafka import KafkaLogs
from backend.lab.audit_rows import same_content, same_source, stored, unlogged
from backend.lab.audit_tally import difference, number, read_shown
from backend.lab.audit_windows import known_windows, shown_sums, stored_sums, windows_off
from backend.lab.servers import Servers
from coffee_core.keys import DEAD_TOPIC, FLINK_GROUP, TOPIC, MetricKeys
from coffee_core.pipelines import Pipeline
from coffee_core.tally import Tally

METRICS = MetricKeys(Pipeline.V3)
_FLUSHED_AFTER_S = 0.1
"""Seconds in which the JDBC sink, which flushes every 50 ms, has stored what the metrics have shown."""


@dataclass(frozen=True, slots=True)
class TopicLog:
    """What the two topics and the job's counters say."""

    records: int
    """Records of the topic."""
    counted: int | None
    """Orders of the job's state, as last written to Redis; None where Redis does not know."""
    duplicates: int
    """Records that the state has dropped as repeats."""
    dead: int
    """Records that the state has judged to be dead letters."""
    letters: int
    """Records of the dead-letter topic; after a restore a letter may stand there twice."""
    unflushed: int = 0
    """Records above the committed offsets, whose rows may follow what is shown of them."""


async def audit_v3(servers: Servers, logs: KafkaLogs, *, unique_timestamps: bool) -> Balance:
    """Take the balance. Raises the errors of the servers."""
    known = known_windows()
    shown, _, counters = await read_shown(servers.client, METRICS)
    committed = await logs.committed(FLINK_GROUP, TOPIC)
    await asyncio.sleep(_FLUSHED_AFTER_S)
    # After the totals: the windows go to Redis on their own.
    windows = await shown_sums(servers.client, known)
    connection = servers.database
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        rows = await stored(connection, Pipeline.V3)
        copies = await same_source(connection, Pipeline.V3)
        alike = (
            await same_content(connection, Pipeline.V3, unique_timestamps=True) if unique_timestamps else copies
        )
        foreign = await unlogged(connection, Pipeline.V3)
        windows_stored = await stored_sums(connection, known)
    bounds = await logs.bounds(TOPIC)
    log = TopicLog(
        records=_length(bounds),
        counted=number("shown_orders", counters["shown_orders"]) if "shown_orders" in counters else None,
        duplicates=number("duplicates", counters.get("duplicates")),
        dead=number("dead", counters.get("dead")),
        letters=_length(await logs.bounds(DEAD_TOPIC)),
        unflushed=sum(max(0, last - committed.get(each, first)) for each, (first, last) in bounds.items()),
    )
    balance = balance_v3(log, shown, rows, copies, foreign, alike)
    return replace(balance, windows_off=windows_off(windows, windows_stored, balance.in_flight, log.unflushed))


def _length(bounds: dict[int, tuple[int, int]]) -> int:
    return sum(last - first for first, last in bounds.values())


def balance_v3(
    log: TopicLog, shown: Tally, stored: Tally, copies: Tally, foreign: int, alike: Tally | None = None
) -> Balance:
    """Balance what was read in the order metrics, rows, length; arguments as of ``balance_v2``."""
    from_the_log = stored.orders - copies.orders - foreign
    notes = []
    if log.counted is None:
        if from_the_log:
            notes.append("Redis does not know the job's totals (a flush?): the next order writes them again")
        counted, in_flight = from_the_log, max(0, log.records - from_the_log)
        short = max(0, from_the_log - log.records)
    else:
        counted = log.counted
        rest = log.records - counted - log.duplicates - log.dead
        in_flight, short = max(0, rest), max(0, -rest)
        # Rows may be ahead of the metrics by what is in flight; any more have no record on the log.
        short = max(short, from_the_log - counted - in_flight)
    letters_gone = max(0, log.dead - log.letters)
    if letters_gone:
        notes.append(f"{letters_gone} dead letters are not on {DEAD_TOPIC}")
    behind = max(0, counted - from_the_log)
    if 0 < behind <= log.unflushed:
        notes.append(f"{behind} shown orders have yet to become rows: the next checkpoint sees to it")
    known = log.counted is not None and shown.orders == counted
    in_step = known and excused(shown, stored, in_flight, log.unflushed)
    return Balance(
        pipeline=Pipeline.V3,
        accepted=log.records,
        stored=stored,
        shown=shown,
        duplicates_dropped=log.duplicates,
        dead_letters=log.dead,
        in_flight=in_flight,
        lost_orders=(behind if behind > log.unflushed else 0) + letters_gone,
        duplicated=alike if alike is not None and alike.orders > copies.orders else copies,
        drift=NOTHING if in_step else difference(shown, stored),
        log_short=foreign + short,
        notes=tuple(notes),
    )
