"""A member of a group that only shares out partitions: where it goes on is kept with what it has done."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, Protocol, TypeAlias

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError

from backend.clients.daemon import OUTAGES, Outage, Report
from backend.clients.kafka import connections_of, kafka_options, naming_kafka, share_out_anew
from backend.clients.servers import UnreachableError
from backend.pipelines.consumer_name import consumer_name
from backend.pipelines.v4_workers.records import Portion, Position, Record, mark_of
from coffee_core.errors import CoffeeError
from coffee_core.keys import WORKERS_TOPIC
from coffee_core.settings import Settings
from coffee_core.tasks import end_tasks

_BLOCK_MS = 500
"""How long a read waits for a record, which is what a SIGTERM may have to wait."""
_SESSION_TIMEOUT_MS = 6_000
"""After how long without a heartbeat a member is taken for dead: the least that a broker takes by default."""
_HEARTBEAT_MS = 1_000
_REQUEST_TIMEOUT_MS = 5_000
_FETCH_WAIT_MS = 100
"""How long the broker holds a fetch of partitions without records. aiokafka has one fetch on its way, and leaves
out what it still holds records of: after a stall of ours these wait for its end."""
_METADATA_AGE_MS = 10_000
"""How long partitions that were added may stay unknown."""
_PUBLISH_EVERY_S = 1.0
_JOIN_WITHIN_S = 5.0
"""Seconds that a member waits for its partitions before it says that it is ready: the first group of a cluster has
its coordinator made first, and orders that came meanwhile would wait for that."""


class NotOursError(CoffeeError):
    """Somebody else has gone on with these partitions: what was in hand is theirs, and nothing of it was done."""


class TopicChangedError(CoffeeError):
    """The topic is not the one that was read before."""


Ask: TypeAlias = Callable[[Sequence[int]], Awaitable[Mapping[int, Position]]]
"""Returns where these partitions go on. Raises the errors of the server that is asked."""


class Member(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka's is untyped
    """One member of a group, under a name that a successor has again: it gets the same partitions at once."""

    def __init__(self, settings: Settings, group: str, name: str, most_records: int) -> None:
        self._settings = settings
        self._group = group
        self._name = name
        self._most_records = most_records
        self._consumer: AIOKafkaConsumer | None = None
        self._positions: dict[TopicPartition, int] = {}
        """Up to where each partition has been read."""
        self._unproven: dict[TopicPartition, str] = {}
        """Mark of the last record that was processed of each partition, until the log is seen to have it still."""
        self._connections: frozenset[Any] = frozenset()
        """Connections to brokers by which that was or will be seen."""
        self._processed: dict[TopicPartition, int] = {}
        """Up to where what was read has been processed."""
        self._committed: dict[TopicPartition, int] = {}
        """What the group has last been told of it."""
        self._partitions = 0
        """Partitions of the topic when they were last shared out."""
        self._shared_out = asyncio.Event()
        """Set once the group has given this member its partitions."""
        self._rebalances = 0
        self._sought = -1
        """Rebalances when the positions were last looked up."""

    def on_partitions_revoked(self, revoked: object) -> None:  # noqa: ARG002
        """Forget the positions: whatever is read from now on may be another's (called by the consumer)."""
        self._rebalances += 1

    def on_partitions_assigned(self, assigned: object) -> None:  # noqa: ARG002
        """Look the positions up again (called by the consumer)."""
        self._rebalances += 1
        self._partitions = 0
        self._shared_out.set()

    async def start(self) -> None:
        """Join the group, where that has not been done. Raises UnreachableError."""
        if self._consumer is not None:
            return
        consumer = AIOKafkaConsumer(
            **kafka_options(self._settings),
            client_id=f"coffee-{self._name}",
            group_id=self._group,
            # With a name of its own, a member that was killed finds its partitions waiting for its successor.
            # Without one nobody else would get them before its session has run out.
            group_instance_id=self._name,
            session_timeout_ms=_SESSION_TIMEOUT_MS,
            heartbeat_interval_ms=_HEARTBEAT_MS,
            request_timeout_ms=_REQUEST_TIMEOUT_MS,
            metadata_max_age_ms=_METADATA_AGE_MS,
            fetch_max_wait_ms=_FETCH_WAIT_MS,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
        )
        self._shared_out.clear()
        consumer.subscribe([WORKERS_TOPIC], listener=self)
        try:
            with naming_kafka(self._settings.kafka_servers):
                await consumer.start()
        except BaseException:
            await consumer.stop()
            raise
        self._consumer = consumer

    async def stop(self) -> None:
        """End; the group keeps the partitions for a successor until the session runs out."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            with contextlib.suppress(KafkaError, OSError):  # an error at its end changes nothing
                await consumer.stop()

    async def join(self, stop: asyncio.Event) -> None:
        """Wait until the group has shared out its partitions, for a while at most or until ``stop`` is set."""
        waiting = [asyncio.create_task(event.wait()) for event in (self._shared_out, stop)]
        try:
            await asyncio.wait(waiting, timeout=_JOIN_WITHIN_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await end_tasks(*waiting)

    def look_up_positions(self) -> None:
        """Ask anew, before the next read, where each partition goes on."""
        self._sought = -1

    async def read(self, positions: Ask) -> list[Portion]:
        """Return what has come, after at most half a second.

        ``positions`` returns where these partitions go on. Raises its errors, UnreachableError, TopicChangedError.
        """
        assert self._consumer is not None, "start() comes first"
        if self._sought != self._rebalances:
            await self._seek(self._consumer, positions)
        with naming_kafka(self._settings.kafka_servers):
            rebalances = self._rebalances
            found = await self._consumer.getmany(timeout_ms=_BLOCK_MS, max_records=self._most_records)
            if self._sought != rebalances or rebalances != self._rebalances:
                return []
            # A broker that comes back may have lost the end of its log, and taken other records since.
            if self._connections != connections_of(self._consumer):
                self.look_up_positions()
                return []
            portions = []
            # Where nothing has come a position may have moved on all the same: beyond a transaction's marker.
            for place in found or self._positions:
                first, records = self._positions[place], found.get(place, [])
                if place in self._unproven:
                    records = await self._prove(self._consumer, place, records)
                if records and records[0].offset < first:
                    raise TopicChangedError(_made_anew(place, first))
                last = await self._consumer.position(place)
                if last > first:
                    portions.append(Portion(place.partition, first, last, records))
                    self._positions[place] = last
        return portions

    def notice_other_partitions(self) -> None:
        """Have the group share out its partitions anew where some were added, or are no more: a topic made anew.

        aiokafka sees to that in the member that led when they were shared out last. A successor under the name of
        that one does not: the broker tells it that its predecessor leads (KIP-345).
        """
        if self._consumer is None:
            return
        known = self._consumer.partitions_for_topic(WORKERS_TOPIC) or set()
        gone = {place.partition for place in self._consumer.assignment()} - known
        if known and (gone or 0 < self._partitions < len(known)):
            share_out_anew(self._consumer)
        else:
            self._partitions = len(known)

    def note_processed(self, portions: Sequence[Portion]) -> None:
        """Remember up to where these portions reach."""
        for portion in portions:
            if (place := TopicPartition(WORKERS_TOPIC, portion.partition)) in self._processed:
                self._processed[place] = portion.next_offset

    async def stands(self, positions: Ask) -> bool:
        """Tell whether this member stands where ``positions`` says, which a replay changes. Raises its errors."""
        known = {place.partition: position for place, position in self._processed.items()}
        if not known:
            return True
        return {number: at.next_offset for number, at in (await positions(list(known))).items()} == known

    async def publish(self, work: "Work") -> None:
        """Say where this member stands, for whoever watches the lag of the group: nobody begins there.

        Raises UnreachableError and the errors of ``work``.
        """
        if self._consumer is not None and self._sought == self._rebalances and self._processed:
            positions = dict(self._processed)
            await work.publish({place.partition: position for place, position in positions.items()})
            if positions != self._committed:
                with naming_kafka(self._settings.kafka_servers):
                    await self._consumer.commit(positions)
                self._committed = positions

    async def _seek(self, consumer: AIOKafkaConsumer, positions: Ask) -> None:
        rebalances = self._rebalances
        assigned = sorted(consumer.assignment())
        self._positions, self._processed, self._unproven = {}, {}, {}
        begin: dict[TopicPartition, int] = {}
        if assigned:
            at = await positions([place.partition for place in assigned])
            with naming_kafka(self._settings.kafka_servers):
                begins, ends = await consumer.beginning_offsets(assigned), await consumer.end_offsets(assigned)
            for place in assigned:
                position = at.get(place.partition, Position(0, ""))
                if position.next_offset > ends[place]:
                    raise TopicChangedError(_made_anew(place, position.next_offset))
                self._positions[place] = position.next_offset
                begin[place] = max(position.next_offset, begins[place])
                if position.last_offset is not None and position.last_offset >= begins[place]:
                    # Read once more, to see that it is there.
                    begin[place] = position.last_offset
                    self._unproven[place] = position.last_record
            self._connections = connections_of(consumer)
            try:
                for place, offset in begin.items():
                    consumer.seek(place, offset)
            except IllegalStateError:
                return  # shared out anew meanwhile
        self._processed = dict(self._positions)
        self._sought = rebalances

    async def _prove(
        self, consumer: AIOKafkaConsumer, place: TopicPartition, records: list[Record]
    ) -> list[Record]:
        """Return what comes after the last record that was processed. Raises TopicChangedError."""
        mark, position = self._unproven[place], await consumer.position(place)
        offset = Position(0, mark).last_offset
        assert offset is not None, "there is none without"
        if not records and position <= offset:
            return []  # nothing has been read yet
        if not (records and mark_of(records[0]) == mark):
            begins = await consumer.beginning_offsets([place])
            if begins[place] <= offset:  # else it was deleted since: by retention, or by hand
                raise TopicChangedError(_cut_off(place, offset))
        del self._unproven[place]
        return [record for record in records if record.offset >= self._positions[place]]


def _cut_off(place: TopicPartition, offset: int) -> str:
    return (
        f"partition {place.partition} of {place.topic} no longer holds the record at offset {offset:,} that was"
        " read there: it has lost its end and gone on, `coffee replay v4` begins again with it"
    )


def _made_anew(place: TopicPartition, position: int) -> str:
    return (
        f"partition {place.partition} of {place.topic} ends before offset {position:,}, up to which it was read:"
        " it was made anew or cut off, `coffee replay v4` begins again with it"
    )


class Work(Protocol):
    """What the members of a group do with the records."""

    async def publish(self, positions: Mapping[int, int]) -> None:
        """Say up to where the records have been processed, for whoever watches. Nothing depends on it."""

    async def positions(self, partitions: Sequence[int]) -> Mapping[int, Position]:
        """Return where each of these partitions goes on."""

    async def process(self, portions: Sequence[Portion]) -> None:
        """Do all of it, or nothing. Raises NotOursError where somebody else has gone on with a partition."""


async def run_member(
    stop: asyncio.Event,
    settings: Settings,
    group: str,
    daemon: str,
    standstill_key: str,
    most_records: int,
    open_work: Callable[[AsyncExitStack], Awaitable[Work]],
) -> None:
    """Run a member of a group until ``stop`` is set. Raises ConfigError where its name cannot be kept.

    Why it can do nothing it says under ``standstill_key`` in Redis.
    """
    log = logging.getLogger(f"backend.pipelines.v4_workers.{daemon}")
    report = Report(settings.redis_url, standstill_key, daemon)
    outage = Outage(stop, log, report)
    with consumer_name(settings.home, daemon, settings.worker_name) as name:
        member = Member(settings, group, name, most_records)
        try:
            while not stop.is_set():
                try:
                    async with AsyncExitStack() as stack:
                        work = await open_work(stack)
                        await member.start()
                        await member.join(stop)
                        member.look_up_positions()
                        if outage.begins():
                            log.info("ready, as member %s of %s", name, group)
                        await _work(stop, member, work, outage, log)
                except UnreachableError as error:
                    await member.stop()
                    await outage.failed(error)
                except (CoffeeError, *OUTAGES) as error:
                    await outage.failed(error)
        finally:
            await report.close()
            await member.stop()


async def _work(stop: asyncio.Event, member: Member, work: Work, outage: Outage, log: logging.Logger) -> None:
    """Read, and process what was read while the next is read."""
    publishing = asyncio.create_task(_keep_publishing(member, work, log))
    in_hand: asyncio.Task[None] | None = None
    try:
        while not stop.is_set():
            portions = await member.read(work.positions)
            try:
                if in_hand is not None:
                    await in_hand
                    outage.over()
                elif not portions:
                    if not await member.stands(work.positions):
                        member.look_up_positions()
                    outage.over()
            except NotOursError:
                log.info("another member has gone on with what was in hand: looking up the positions again")
                member.look_up_positions()
                portions = []
            in_hand = asyncio.create_task(_process(member, work, portions)) if portions else None
        if in_hand is not None:
            await in_hand
    finally:
        # What fails is tried again, or was raised above.
        await end_tasks(publishing, *filter(None, (in_hand,)))


async def _process(member: Member, work: Work, portions: Sequence[Portion]) -> None:
    await work.process(portions)
    member.note_processed(portions)


async def _keep_publishing(member: Member, work: Work, log: logging.Logger) -> None:
    while True:
        try:
            member.notice_other_partitions()
            await member.publish(work)
        except (CoffeeError, *OUTAGES) as error:
            log.debug("where this member stands cannot be published: %s", error)
        await asyncio.sleep(_PUBLISH_EVERY_S)
