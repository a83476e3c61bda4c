"""v3's records in groups: whoever comes while others are on their way to a broker goes with the next batch.

aiokafka's own send() makes a future and a timer for each record and searches the cluster for its partition, which
is most of what an order costs. Here a record is put into its batch when it comes, and a batch has one answer. The
partitions of one broker take turns together: a request costs the broker and the job nearly the same for one batch
as for four.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.structs import RecordMetadata, TopicPartition

from backend.api.outcome import OutcomeUnknownError, UnavailableError
from backend.kafka_partition import partition_of

ANSWER_TIMEOUT_S = 2.7
"""Seconds from the first record of a turn to the end of its patience: then its outcome counts as unknown."""

Headers = list[tuple[str, bytes]]
_Waiting = defaultdict[int, deque["_Group"]]
"""Partition → groups that wait there, in turn."""


class _Group:
    """Records of one partition that share a batch."""

    __slots__ = ("batch", "since_s", "waiting")

    def __init__(self, producer: AIOKafkaProducer, since_s: float) -> None:
        self.batch = producer.create_batch()
        self.since_s = since_s
        self.waiting: list[asyncio.Future[None]] = []

    def on_acknowledged(self, acknowledged: "asyncio.Future[RecordMetadata]") -> None:
        """Tell everyone at once where the batch has arrived: others of its turn may take longer."""
        if not acknowledged.cancelled() and acknowledged.exception() is None:
            self.end(None)

    def end(self, error: BaseException | None) -> None:
        """Tell everyone who waits and has heard nothing yet."""
        for each in self.waiting:
            if each.done():
                continue
            if error is None:
                each.set_result(None)
            else:
                each.set_exception(error)


class KafkaGroups:
    """Records on their way to one topic, by one producer."""

    def __init__(
        self, producer: AIOKafkaProducer, topic: str, on_doubt: Callable[[KafkaError | None], None]
    ) -> None:
        """``on_doubt`` hears of a group that failed for good (with the error), or came to no end (with None)."""
        self._producer = producer
        self._topic = topic
        self._on_doubt = on_doubt
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[int, _Waiting] = {}
        """Where they wait, by the broker that leads their partitions."""
        self._writers: dict[int, asyncio.Task[None]] = {}
        self._apart: set[int] = set()
        """Partitions that failed last: nobody else waits for them, until they work again."""

    def add(self, key: bytes, value: bytes, headers: Headers) -> "asyncio.Future[None]":
        """Put a record into the next group of its partition.

        The future is done when every in-sync replica has the record. It raises UnavailableError where the record
        certainly was not sent, OutcomeUnknownError where it may have been; this itself UnavailableError.
        """
        partitions = self._producer.client.cluster.partitions_for_topic(self._topic)
        if not partitions:
            raise UnavailableError(f"the topic {self._topic} is missing")
        partition = partition_of(key, len(partitions))
        broker = self._broker_of(partition)
        waiting = self._waiting.setdefault(broker, defaultdict(deque))
        groups = waiting[partition]
        if not groups or groups[-1].batch.append(timestamp=None, key=key, value=value, headers=headers) is None:
            groups.append(_Group(self._producer, self._loop.time()))
            groups[-1].batch.append(timestamp=None, key=key, value=value, headers=headers)
        acknowledged: asyncio.Future[None] = self._loop.create_future()
        groups[-1].waiting.append(acknowledged)
        if broker not in self._writers:
            self._writers[broker] = self._loop.create_task(self._write_all(broker, waiting))
        return acknowledged

    def _broker_of(self, partition: int) -> int:
        """Return the number of the broker that leads a partition, or, below 0, one for this partition alone."""
        if partition in self._apart:
            return -1 - partition
        leader = self._producer.client.cluster.leader_for_partition(TopicPartition(self._topic, partition))
        return leader if leader is not None and leader >= 0 else -1 - partition

    async def _write_all(self, broker: int, waiting: _Waiting) -> None:
        while turn := {partition: groups.popleft() for partition, groups in waiting.items() if groups}:
            if not await self._write(turn):
                # Behind one that hangs nobody waits in turn; these have not been given to the producer.
                for groups in waiting.values():
                    for each in groups:
                        each.end(UnavailableError("kafka takes nothing at the moment"))
                    groups.clear()
        del self._writers[broker], self._waiting[broker]

    async def _write(self, turn: dict[int, _Group]) -> bool:
        """Send one batch to each of these partitions; return whether all were acknowledged."""
        sent: dict[int, asyncio.Future[RecordMetadata]] = {}
        try:
            async with asyncio.timeout_at(min(group.since_s for group in turn.values()) + ANSWER_TIMEOUT_S):
                for partition, group in turn.items():
                    sent[partition] = await self._give(group, partition)
                # A batch stays in the producer, which goes on trying: it may be written much later, or fail.
                await asyncio.wait(sent.values())
        except TimeoutError:
            self._on_doubt(None)
        for partition, group in turn.items():
            error = self._error_of(sent.get(partition))
            group.end(error)
            if error is None:
                self._apart.discard(partition)
            else:
                self._apart.add(partition)
        return self._apart.isdisjoint(turn)

    async def _give(self, group: _Group, partition: int) -> "asyncio.Future[RecordMetadata]":
        """Give a batch to the producer; return what is done when it is acknowledged."""
        group.batch.close()  # a record more than the sender has counted would break the producer's sequence
        acknowledged: asyncio.Future[RecordMetadata]
        try:
            acknowledged = await self._producer.send_batch(group.batch, self._topic, partition=partition)
        except Exception as error:  # noqa: BLE001  it is theirs who wait
            acknowledged = self._loop.create_future()
            if isinstance(error, KafkaError):
                self._on_doubt(error)
                error = UnavailableError(f"kafka takes nothing ({error})")
            acknowledged.set_exception(error)
        acknowledged.add_done_callback(group.on_acknowledged)
        return acknowledged

    def _error_of(self, sent: "asyncio.Future[RecordMetadata] | None") -> BaseException | None:
        """Return why a batch was not acknowledged, and tell of a producer that failed it.

        None in its place: it was not even given to the producer.
        """
        if sent is None:
            return UnavailableError("kafka takes nothing at the moment")
        if not sent.done() or sent.cancelled():
            return OutcomeUnknownError(f"kafka did not acknowledge within {ANSWER_TIMEOUT_S:g} s")
        error = sent.exception()
        if isinstance(error, KafkaError):
            self._on_doubt(error)
            return OutcomeUnknownError(f"kafka broke off ({error})")
        return error
