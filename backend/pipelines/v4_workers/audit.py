"""The balance of v4: what became of the topic's records, as the workers count it, and what is shown of it.

The workers count their records in the transaction that stores them, so records, rows, repeats and dead letters of
one snapshot must balance to the last one. The aggregators keep the offsets of what they have counted with the
totals: these must be the rows below those offsets. Both are exact under load, as soon as the workers have come as
far as the cut.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from backend.clients.kafka import Bounds, KafkaLogs, above
from backend.clients.servers import Servers
from backend.pipelines.balance import (
    NOTHING,
    Balance,
    difference,
    explained_by_in_flight,
    same_content,
    same_source,
    stored,
    unlogged,
)
from backend.pipelines.topic.acknowledged import read_truncated, truncation
from backend.pipelines.topic.records import mark, offset_of
from backend.pipelines.v4_workers.reconcile import (
    Cut,
    Stored,
    read_stored,
    take_cut,
    totals_below,
    wait_until_stored,
)
from coffee_core.clock import now_us
from coffee_core.keys import WORKERS_DEAD_TOPIC, WORKERS_TOPIC
from coffee_core.pipelines.constants import V4
from coffee_core.totals import Totals

_AT_REST_US = 2_000_000
_MOST_COUNTED = 200_000
"""Offsets that no group has passed up to which their records are counted by reading them."""


@dataclass(frozen=True, slots=True)
class TopicCounts:
    """What is on the two topics."""

    unstored: int
    """Records that the workers have yet to store."""
    uncounted: int
    """Records that the aggregators have yet to count."""
    unfinished: int
    """Records that one of them has yet to process."""
    letters: int
    """Records of the dead-letter topic; a letter may stand there twice after a crash."""
    uncommitted: int = 0
    """Offsets behind the beginning of a transaction that is open."""
    deleted: int = 0
    """Offsets that were deleted before a worker had stored them."""
    missing: int = 0
    """Offsets that the workers have stored and the topic no longer has at its end."""
    replaced: tuple[int, ...] = ()
    """Partitions that hold another record where the last one that was stored was: they lost their end."""
    truncated: Mapping[int, int] = field(default_factory=dict)
    """Partition → acknowledged records that it has lost with its end."""


async def audit_v4(servers: Servers, logs: KafkaLogs, *, unique_timestamps: bool) -> Balance:
    """Take the balance. Raises the errors of the servers."""
    connection = servers.database
    cut = await take_cut(servers.client)
    await wait_until_stored(connection, cut)
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        done = await read_stored(connection)
        rows = await stored(connection, V4)
        expected = await totals_below(connection, cut)
        copies = await same_source(connection, V4)
        alike = await same_content(connection, V4, unique_timestamps=True) if unique_timestamps else None
        off_log = await unlogged(connection, V4)
    topic = await _count_topic(logs, cut, done)
    topic = replace(topic, truncated=await read_truncated(servers.client, logs, V4))
    return balance_v4(topic, cut, done, rows, expected, copies, off_log, alike)


async def _count_topic(logs: KafkaLogs, cut: Cut, done: Stored) -> TopicCounts:
    # The ends first: what comes meanwhile is not taken for a transaction that is open.
    ends, bounds = await logs.ends(WORKERS_TOPIC), await logs.bounds(WORKERS_TOPIC)
    slower = {number: min(done.offsets.get(number, 0), cut.offsets.get(number, 0)) for number in bounds}
    unfinished = above(bounds, slower)
    at_rest = now_us() - cut.number("last_update_us") > _AT_REST_US
    # Offsets are not records: transactions and compactions leave holes.
    by_reading = at_rest and _length(unfinished) <= _MOST_COUNTED

    async def count(offsets: Mapping[int, int]) -> int:
        rest = above(bounds, offsets)
        return await logs.count(WORKERS_TOPIC, rest) if by_reading and _length(rest) else _length(rest)

    return TopicCounts(
        unstored=await count(done.offsets),
        uncounted=await count(cut.offsets),
        unfinished=await count(slower),
        letters=_length(await logs.bounds(WORKERS_DEAD_TOPIC)),
        uncommitted=sum(max(0, ends.get(number, 0) - last) for number, (_, last) in bounds.items()),
        deleted=sum(max(0, first - done.offsets.get(number, 0)) for number, (first, _) in bounds.items()),
        replaced=await replaced_partitions(logs, bounds, done),
        missing=sum(max(0, offset - bounds.get(number, (0, 0))[1]) for number, offset in done.offsets.items()),
    )


async def replaced_partitions(logs: KafkaLogs, bounds: Bounds, done: Stored) -> tuple[int, ...]:
    """Return the partitions that reach beyond the last record that was stored of them, and no longer hold it.

    Raises UnreachableError.
    """
    replaced = []
    for number, known in done.last_records.items():
        first, last = bounds.get(number, (0, 0))
        offset = offset_of(known)
        if first <= offset and done.offsets[number] <= last:
            within = {number: (offset, offset + 1)}
            found = [
                mark(record.offset, record.time_ms, record.key, record.value)
                async for batch in logs.records(WORKERS_TOPIC, within)
                for record in batch
            ]
            if found != [known]:
                replaced.append(number)
    return tuple(replaced)


def _length(bounds: Bounds) -> int:
    return sum(last - first for first, last in bounds.values())


def balance_v4(
    topic: TopicCounts,
    cut: Cut,
    done: Stored,
    rows: Totals,
    expected: Totals,
    copies: Totals,
    off_log: int,
    alike: Totals | None = None,
) -> Balance:
    """Balance a cut, the rows of a moment after it, and the topic of one after that.

    ``expected`` are the rows that the cut must show, ``copies`` rows beyond the first of their record, ``off_log``
    rows without a record, ``alike`` rows beyond the first of their order.
    """
    notes = []
    rest = done.records - done.duplicates - done.dead
    if 0 < copies.orders <= rows.orders - off_log - rest:
        notes.append(
            f"{copies.orders:,} places on the topic have two rows: of it and of a topic before it, or duplicates,"
            " which cannot be told"
        )
        copies = NOTHING
    from_log = rows.orders - copies.orders - off_log
    letters_missing = max(0, done.dead - topic.letters)
    if letters_missing:
        notes.append(f"{letters_missing} dead letters are not on {WORKERS_DEAD_TOPIC}")
    if topic.deleted:
        notes.append(f"{topic.deleted:,} offsets of the topic were deleted before they were stored")
    if topic.unfinished:
        notes.append(
            f"{topic.unstored:,} wait for the group of the kafka-workers, {topic.uncounted:,} for that of the"
            " kafka-aggregators"
        )
    if topic.replaced:
        notes.append(
            f"of {WORKERS_TOPIC} partition {', '.join(map(str, topic.replaced))} has lost its end and gone on with"
            " other orders: how many were lost, and what it holds now, is known after `coffee replay v4`"
        )
    if topic.truncated:
        notes.append(truncation(topic.truncated, WORKERS_TOPIC))
    if topic.uncommitted:
        notes.append(
            f"a transaction is open on the topic: both groups read no further until it has ended,"
            f" {topic.uncommitted:,} offsets wait"
        )
    drift = difference(cut.shown, expected)
    if not_stored := cut.not_stored(done):
        notes.append(f"the kafka-workers are behind what is shown by {not_stored:,} records")
        if explained_by_in_flight(cut.shown, expected, 0, not_stored):
            drift = NOTHING
    return Balance(
        pipeline=V4,
        accepted=done.records + topic.unstored + topic.uncommitted + topic.deleted,
        stored=rows,
        shown=cut.shown,
        duplicates_dropped=done.duplicates,
        dead_letters=done.dead,
        in_flight=topic.unfinished + topic.uncommitted,
        lost=max(0, rest - from_log) + letters_missing + topic.deleted,
        duplicated=alike if alike is not None and alike.orders > copies.orders else copies,
        drift=drift,
        log_short=off_log + max(max(0, from_log - rest), topic.missing, len(topic.replaced)),
        truncated=sum(topic.truncated.values()),
        notes=tuple(notes),
    )
