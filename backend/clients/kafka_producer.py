"""A Kafka producer as the API uses it: made, watched and replaced in the background, its records sent in groups.

``close_producer`` uses private parts of aiokafka, the sender and the accumulator of a producer, which have no
promise to stay. pyproject.toml pins the minor version that this was tested with (0.14): when it changes, read
``AIOKafkaProducer.stop`` again and run tests/integration/backend/api/test_kafka_groups.py and test_outages.py.
"""

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import Callable
from functools import partial
from struct import unpack_from
from time import monotonic

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, ProducerClosed
from aiokafka.structs import RecordMetadata, TopicPartition

from backend.clients.health import Health
from backend.clients.kafka import kafka_options
from coffee_core.errors import OutcomeUnknownError, UnavailableError
from coffee_core.settings import Settings

_log = logging.getLogger(__name__)

ANSWER_TIMEOUT_S = 2.7
"""Seconds from the first record of a turn to its answer, after which its outcome counts as unknown."""
START_TIMEOUT_S = 10.0
"""Seconds for a producer to connect and get its producer id, which a cold broker does not give at first."""
REQUEST_TIMEOUT_MS = 3_000
"""Milliseconds for one request to a broker."""
REPLACE_AFTER_S = 30.0
"""Seconds without any broker after which a new producer asks the bootstrap servers where the brokers are now."""
CLOSE_TIMEOUT_S = 1.0
"""Seconds for a retired producer to deliver the records that it holds."""
MAX_BATCH_BYTES = 256 * 1024
"""Most bytes of one batch: about a thousand orders."""

Headers = list[tuple[str, bytes]]
OnAcknowledged = Callable[[int, int, int, int], None]
"""Called of each batch that was acknowledged with its partition, its first and last offset, and the time of the
last record, in milliseconds since the epoch."""
_Waiting = defaultdict[int, deque["_Group"]]
"""Partition → groups that wait there, in turn."""


class TopicProducer:
    """The producer of one topic."""

    def __init__(self, settings: Settings, topic: str, on_acknowledged: OnAcknowledged | None = None) -> None:
        self.health = Health("kafka")
        """Whether the cluster answers and has the topic."""
        self._servers = settings.kafka_servers
        self._options = kafka_options(settings)
        # With less than all, the broker promises nothing by which a resent batch would be known.
        self._acks: int | str = "all" if (settings.kafka_acks or "all") == "all" else 1
        self._topic = topic
        self._on_acknowledged = on_acknowledged or (lambda *_: None)
        self._producer: AIOKafkaProducer | None = None
        self._groups: KafkaGroups | None = None
        self._starting: asyncio.Task[None] | None = None
        self._last_answer_s = 0.0
        self._closing: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Keep a producer, forever; it is closed when this is cancelled."""
        try:
            await self.health.keep_probing(self._probe)
        finally:
            if self._starting is not None:
                await asyncio.wait({self._starting}, timeout=CLOSE_TIMEOUT_S)
                self._starting.cancel()
                await asyncio.gather(self._starting, return_exceptions=True)
            self._retire()
            await asyncio.gather(*self._closing)

    def send(self, key: bytes, value: bytes, headers: Headers) -> "asyncio.Future[None]":
        """Return a future that is done when every in-sync replica has the record with its headers.

        This and the future raise UnavailableError where it certainly was not sent, the future OutcomeUnknownError
        where it may have been.
        """
        self.health.require()
        if self._groups is None:
            raise UnavailableError("kafka has no producer yet")
        return self._groups.add(key, value, headers)

    async def _probe(self) -> None:
        if self._producer is not None and monotonic() - self._last_answer_s > REPLACE_AFTER_S:
            self._retire()
        producer = self._producer or await self._started()
        # The first update also makes the producer know the topic's partitions before an order needs them.
        producer.client.add_topic(self._topic)
        if not await producer.client.force_metadata_update():
            raise UnavailableError(f"no broker of {self._servers} answers")
        self._last_answer_s = monotonic()
        if not producer.client.cluster.partitions_for_topic(self._topic):
            raise UnavailableError(f"the topic {self._topic} is missing")

    async def _started(self) -> AIOKafkaProducer:
        # In a task of its own, which outlives a probe that gives up: cancelled here, aiokafka leaks a connection.
        if self._starting is None:
            self._starting = asyncio.create_task(self._start())
        await asyncio.wait({self._starting})
        started, self._starting = self._starting, None
        started.result()
        if self._producer is None:
            raise UnavailableError("the producer is being replaced")
        return self._producer

    async def _start(self) -> None:
        producer = AIOKafkaProducer(
            **self._options,
            client_id="coffee-api",
            acks=self._acks,
            enable_idempotence=self._acks == "all",
            linger_ms=0,
            max_batch_size=MAX_BATCH_BYTES,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
        )
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                await producer.start()
        except BaseException as error:
            await producer.stop()  # a producer that never started has nothing to deliver: this is immediate
            if isinstance(error, KafkaError | OSError):
                raise UnavailableError(f"cannot connect to {self._servers} ({type(error).__name__})") from error
            raise
        self._producer = producer
        self._groups = KafkaGroups(producer, self._topic, partial(self._doubt, producer), self._on_acknowledged)
        self._last_answer_s = monotonic()

    def _doubt(self, producer: AIOKafkaProducer, error: KafkaError | None) -> None:
        if error is None:
            self.health.doubt()
            return
        # After an error that it does not retry, an idempotent producer's sequence numbers may no longer be what
        # the broker expects: it would fail for ever, so a new one replaces it.
        _log.warning("kafka: %r: a new producer takes over", error)
        if producer is self._producer:
            self._retire()
            self.health.went_down(f"the producer failed ({error})")
            self.health.doubt()

    def _retire(self) -> None:
        if self._producer is not None:
            task = asyncio.create_task(close_producer(self._producer))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
            self._producer = self._groups = None


async def close_producer(producer: AIOKafkaProducer) -> None:
    """Close a producer that may hold records which no broker takes."""
    stopping = asyncio.create_task(producer.stop())
    _, late = await asyncio.wait({stopping}, timeout=CLOSE_TIMEOUT_S)
    if late:
        # stop() waits for every record to be delivered, with a dead broker for ever, and has no public way out.
        _log.warning("kafka: a producer is closed with records that no broker has taken")
        await producer.client.close()
        await producer._sender.close()  # noqa: SLF001
        producer._message_accumulator.fail_all(ProducerClosed())  # noqa: SLF001
    await stopping


class KafkaGroups:
    """Sends records to one topic in groups: those that come while a group is on its way form the next one.

    aiokafka's own send() makes a future and a timer for each record and searches the cluster for its partition,
    which is most of what an order costs. Here a record is put into its batch when it comes, and a batch has one
    answer. The partitions of one broker take turns together: a request costs the broker and the job nearly the
    same for one batch as for four.
    """

    def __init__(
        self,
        producer: AIOKafkaProducer,
        topic: str,
        on_doubt: Callable[[KafkaError | None], None],
        on_acknowledged: OnAcknowledged,
    ) -> None:
        """``on_doubt`` is called with the error of a group that failed for good, or None of one without an end."""
        self._producer = producer
        self._topic = topic
        self._on_doubt = on_doubt
        self._on_acknowledged = on_acknowledged
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[int, _Waiting] = {}
        """By the broker that leads their partitions."""
        self._writers: dict[int, asyncio.Task[None]] = {}
        self._apart: set[int] = set()
        """Partitions that failed last: they share no turn with others until they work again."""

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
        if not groups or not groups[-1].append(key, value, headers):
            groups.append(_Group(self._producer, self._loop.time(), self._on_acknowledged))
            groups[-1].append(key, value, headers)
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
                # Nothing waits behind a turn that hangs; these groups have not been given to the producer.
                for groups in waiting.values():
                    for group in groups:
                        group.end(UnavailableError("kafka takes nothing at the moment"))
                    groups.clear()
        del self._writers[broker], self._waiting[broker]

    async def _write(self, turn: "dict[int, _Group]") -> bool:
        """Send one batch to each of these partitions; return whether all were acknowledged."""
        sent: dict[int, asyncio.Future[RecordMetadata]] = {}
        try:
            async with asyncio.timeout_at(min(group.since_s for group in turn.values()) + ANSWER_TIMEOUT_S):
                for partition, group in turn.items():
                    sent[partition] = await self._hand_over(group, partition)
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

    async def _hand_over(self, group: "_Group", partition: int) -> "asyncio.Future[RecordMetadata]":
        """Give a batch to the producer; return the future of its acknowledgement."""
        group.batch.close()  # a record added after the sender counted them would break the producer's sequence
        acknowledged: asyncio.Future[RecordMetadata]
        try:
            acknowledged = await self._producer.send_batch(group.batch, self._topic, partition=partition)
        except Exception as error:  # noqa: BLE001  passed on to the waiting senders
            acknowledged = self._loop.create_future()
            if isinstance(error, KafkaError):
                self._on_doubt(error)
                error = UnavailableError(f"kafka takes nothing ({error})")
            acknowledged.set_exception(error)
        acknowledged.add_done_callback(group.on_acknowledged)
        return acknowledged

    def _error_of(self, sent: "asyncio.Future[RecordMetadata] | None") -> BaseException | None:
        """Return why a batch was not acknowledged; call ``on_doubt`` where the producer failed it.

        ``sent`` is None where the batch was not even given to the producer.
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


class _Group:
    """Records of one partition that share a batch, and so its answer."""

    __slots__ = ("_on_acknowledged", "_time_ms", "batch", "since_s", "waiting")

    def __init__(self, producer: AIOKafkaProducer, since_s: float, on_acknowledged: OnAcknowledged) -> None:
        self.batch = producer.create_batch()
        self.since_s = since_s
        self.waiting: list[asyncio.Future[None]] = []
        self._on_acknowledged = on_acknowledged
        self._time_ms = 0

    def append(self, key: bytes, value: bytes, headers: Headers) -> bool:
        """Put a record into the batch; return whether it has room for it."""
        appended = self.batch.append(timestamp=None, key=key, value=value, headers=headers)
        if appended is None:
            return False
        self._time_ms = appended.timestamp
        return True

    def on_acknowledged(self, acknowledged: "asyncio.Future[RecordMetadata]") -> None:
        """End at once where the batch has arrived: others of its turn may take longer."""
        if acknowledged.cancelled() or acknowledged.exception() is not None:
            return
        written = acknowledged.result()
        if written.offset >= 0:  # a broker that had it already may not know where
            last = written.offset + len(self.waiting) - 1
            # A topic may keep the broker's own time (message.timestamp.type).
            time_ms = self._time_ms if written.timestamp_type == 0 else written.timestamp
            self._on_acknowledged(written.partition, written.offset, last, time_ms)
        self.end(None)

    def end(self, error: BaseException | None) -> None:
        """End the futures that are not done: with the error, or without."""
        for acknowledged in self.waiting:
            if acknowledged.done():
                continue
            if error is None:
                acknowledged.set_result(None)
            else:
                acknowledged.set_exception(error)


# Which partition a record goes to, as every Kafka client's default has it: by the murmur2 of its key. aiokafka's
# own reads a key byte by byte: 10 µs of the key of an order, twice what this takes.

_FACTOR = 0x5BD1E995
_SEED = 0x9747B28C
_32_BITS = 0xFFFFFFFF


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of a key, from 0 to ``partitions`` - 1."""
    words = len(key) // 4
    mixed = _SEED ^ len(key)
    for word in unpack_from(f"<{words}I", key):
        low = word * _FACTOR & _32_BITS
        mixed = (mixed * _FACTOR ^ (low ^ low >> 24) * _FACTOR) & _32_BITS
    if rest := key[words * 4 :]:
        mixed = (mixed ^ int.from_bytes(rest, "little")) * _FACTOR & _32_BITS
    mixed = (mixed ^ mixed >> 13) * _FACTOR & _32_BITS
    return ((mixed ^ mixed >> 15) & 0x7FFFFFFF) % partitions
