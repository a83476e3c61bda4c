"""Kafka for the backend: how a client connects, and logs as the audits read them.

``connections_of`` and ``share_out_anew`` use private parts of aiokafka, the connections of a client and the
coordinator of a consumer; see ``kafka_producer``.
"""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import ConnectionGroup
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import (
    CorruptRecordException,
    GroupCoordinatorNotAvailableError,
    KafkaError,
    NoError,
    UnknownTopicOrPartitionError,
    UnsupportedCodecError,
    for_code,
)

from backend.clients.servers import UnreachableError
from coffee_core.errors import CoffeeError, ConfigError
from coffee_core.settings import Settings

T = TypeVar("T")

_log = logging.getLogger(__name__)
# The driver's log lines repeat our errors.
logging.getLogger("aiokafka").addHandler(logging.NullHandler())

_REQUEST_TIMEOUT_MS = 5_000
_POLL_MS = 500
_COORDINATOR_ATTEMPTS, _COORDINATOR_PAUSE_S = 20, 0.25
_MAX_RECORDS = 2_000
"""Most records of one read."""
_LENGTH_TIMEOUT_S = 2.0
"""Seconds after which the length of a log counts as unknown."""


def kafka_options(settings: Settings) -> dict[str, Any]:
    """Return what aiokafka's producers, consumers and admin clients share, as keyword arguments.

    Raises ConfigError where the file of KAFKA_SSL_CA or KAFKA_SSL_KEYSTORE cannot be used.
    """
    options: dict[str, Any] = {
        "bootstrap_servers": settings.kafka_servers,
        "security_protocol": settings.kafka_protocol,
    }
    if settings.kafka_protocol.startswith("SASL_"):
        options |= {
            "sasl_mechanism": settings.kafka_mechanism,
            "sasl_plain_username": settings.kafka_username,
            "sasl_plain_password": settings.kafka_password,
        }
    context = kafka_tls(settings)
    return options | ({"ssl_context": context} if context else {})


def connections_of(consumer: AIOKafkaConsumer) -> frozenset[Any]:
    """Return the connections by which a consumer fetches: as long as they are the same, so are its brokers."""
    connections = consumer._client._conns.items()  # noqa: SLF001
    # Coordinators have others, and the first one of all ends as soon as the brokers are known.
    return frozenset(
        connection
        for (node, group), connection in connections
        if group == ConnectionGroup.DEFAULT and node != "bootstrap"
    )


def share_out_anew(consumer: AIOKafkaConsumer) -> None:
    """Have a member join its group again, which shares out the partitions where it is the one that leads."""
    consumer._coordinator.request_rejoin()  # noqa: SLF001


def kafka_tls(settings: Settings) -> ssl.SSLContext | None:
    """Return the context of a connection to a broker, None where it is without TLS. Raises ConfigError."""
    if not settings.kafka_protocol.endswith("SSL"):
        return None
    try:
        context = ssl.create_default_context(cafile=settings.kafka_ca or None)
    except OSError as error:  # also of a file that holds no certificate
        raise ConfigError(f"KAFKA_SSL_CA {settings.kafka_ca!r} cannot be used: {error}") from error
    if settings.kafka_keystore:
        try:
            context.load_cert_chain(settings.kafka_keystore)
        except OSError as error:
            raise ConfigError(f"KAFKA_SSL_KEYSTORE {settings.kafka_keystore!r} cannot be used: {error}") from error
    return context


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a topic."""

    origin: str
    """Where it lies, as partition:offset."""
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    time_ms: int
    """When its producer made it: milliseconds since the epoch."""


Bounds = dict[int, tuple[int, int]]
"""Partition → its first offset, and the one after the last that a reader of committed records may read."""


def above(bounds: Bounds, offsets: Mapping[int, int]) -> Bounds:
    """Return the part of these bounds that is not below these offsets."""
    return {
        partition: (min(last, max(first, offsets.get(partition, first))), last)
        for partition, (first, last) in bounds.items()
    }


class KafkaLogs:
    """Kafka as the audit reads it: the bounds of a log, the committed offsets of a group, every record in order.

    Of transactions it reads what was committed, as the job does. Has consumers that commit nothing and join no
    group, and an admin client for what a consumer cannot ask.
    """

    def __init__(
        self, consumer: AIOKafkaConsumer, uncommitted: AIOKafkaConsumer, admin: AIOKafkaAdminClient, servers: str
    ) -> None:
        self._consumer = consumer
        self._uncommitted = uncommitted
        """The same, for the ends of the log: it sees beyond a transaction that is open."""
        self._admin = admin
        self._servers = servers

    async def bounds(self, topic: str) -> Bounds:
        """Return the bounds of each partition; empty where there is no topic. Raises UnreachableError."""
        with naming_kafka(self._servers):
            return await _bounds(self._admin, self._consumer, topic)

    async def ends(self, topic: str) -> dict[int, int]:
        """Return the offset after the last record of each partition, committed or not. Raises UnreachableError."""
        with naming_kafka(self._servers):
            return await _ends(self._admin, self._uncommitted, topic)

    async def count(self, topic: str, bounds: Bounds) -> int:
        """Count the records within these bounds: fewer than offsets where there were transactions or compactions.

        Reads them all. Raises UnreachableError.
        """
        within = {number: (first, last) for number, (first, last) in bounds.items() if first < last}
        return sum([len(batch) async for batch in self.records(topic, within)])

    async def records(self, topic: str, bounds: Bounds) -> AsyncIterator[list[Record]]:
        """Read a topic up to these bounds, one partition after the other. Raises UnreachableError."""
        for number, (first, last) in sorted(bounds.items()):
            partition = TopicPartition(topic, number)
            self._consumer.assign([partition])
            self._consumer.seek(partition, first)
            while True:
                with naming_kafka(self._servers):
                    if await self._consumer.position(partition) >= last:
                        break
                    answer = await self._consumer.getmany(partition, timeout_ms=_POLL_MS, max_records=_MAX_RECORDS)
                found = [
                    Record(f"{number}:{read.offset}", number, read.offset, read.key, read.value, read.timestamp)
                    for read in answer.get(partition, [])
                    if read.offset < last
                ]
                if found:
                    yield found

    async def first_later(self, topic: str, number: int, time_ms: int) -> int | None:
        """Return the first offset of a partition whose record is later than this; None where none is.

        ``time_ms`` is in milliseconds since the epoch. Raises UnreachableError.
        """
        partition = TopicPartition(topic, number)
        with naming_kafka(self._servers):
            found = (await self._consumer.offsets_for_times({partition: time_ms + 1}))[partition]
        return None if found is None else found.offset

    async def committed(self, group: str, topic: str) -> dict[int, int]:
        """Return up to where a group has committed each partition. Raises UnreachableError."""
        with naming_kafka(self._servers):
            found = await self._offsets_of(group)
        return {place.partition: at.offset for place, at in found.items() if place.topic == topic}

    async def committed_now(self, group: str, topic: str) -> dict[int, int] | None:
        """Return the same at once, None where the cluster does not tell: it may not keep offsets yet."""
        try:
            found = await self._admin.list_consumer_group_offsets(group)
        except KafkaError:
            return None
        return {place.partition: at.offset for place, at in found.items() if place.topic == topic}

    async def members(self, group: str, topic: str) -> dict[int, str]:
        """Return which client reads each partition; empty of a group without members. Raises UnreachableError."""
        with naming_kafka(self._servers):
            answers = await self._admin.describe_consumer_groups([group])
        found: dict[int, str] = {}
        for answer in answers:
            for described in answer.to_object()["groups"]:
                for member in described["members"]:
                    if member["member_assignment"]:
                        assigned = ConsumerProtocolMemberAssignment.decode(member["member_assignment"])
                        places = (place for place in assigned.partitions() if place.topic == topic)
                        found |= dict.fromkeys((place.partition for place in places), member["client_id"])
        return found

    async def _offsets_of(self, group: str) -> Any:
        for _ in range(_COORDINATOR_ATTEMPTS):
            try:
                return await self._admin.list_consumer_group_offsets(group)
            except GroupCoordinatorNotAvailableError:
                # The first question ever asked of a cluster makes it create its topic of offsets.
                await asyncio.sleep(_COORDINATOR_PAUSE_S)
        return await self._admin.list_consumer_group_offsets(group)


async def _bounds(admin: AIOKafkaAdminClient, consumer: AIOKafkaConsumer, topic: str) -> Bounds:
    """Return the bounds of each partition; raises an error of the driver."""
    partitions = await _partitions(admin, topic)
    if not partitions:
        return {}
    first = await consumer.beginning_offsets(partitions)
    last = await consumer.end_offsets(partitions)
    return {partition.partition: (first[partition], last[partition]) for partition in partitions}


async def _partitions(admin: AIOKafkaAdminClient, topic: str) -> list[TopicPartition]:
    """Return the partitions of a topic, none where there is no such topic; raises an error of the driver."""
    # Asks the admin client: a consumer that is subscribed to no topic does not learn of its partitions.
    (about,) = await admin.describe_topics([topic])
    error = for_code(about["error_code"])
    if error is UnknownTopicOrPartitionError:
        return []
    if error is not NoError:
        raise error
    numbers = sorted(partition["partition"] for partition in about["partitions"])
    return [TopicPartition(topic, number) for number in numbers]


async def commit_offsets(settings: Settings, group: str, topic: str, offsets: Mapping[int, int]) -> None:
    """Commit these offsets for a group that has no members. Raises UnreachableError."""
    with naming_kafka(settings.kafka_servers):
        consumer = AIOKafkaConsumer(
            **kafka_options(settings),
            client_id="coffee-replay",
            group_id=group,
            enable_auto_commit=False,
            request_timeout_ms=_REQUEST_TIMEOUT_MS,
        )
        consumer.assign([TopicPartition(topic, number) for number in offsets])
        try:
            await consumer.start()
            await consumer.commit({TopicPartition(topic, number): offset for number, offset in offsets.items()})
        finally:
            await consumer.stop()


async def _ends(admin: AIOKafkaAdminClient, consumer: AIOKafkaConsumer, topic: str) -> dict[int, int]:
    partitions = await _partitions(admin, topic)
    found = await consumer.end_offsets(partitions) if partitions else {}
    return {partition.partition: end for partition, end in found.items()}


@contextmanager
def naming_kafka(servers: str) -> Iterator[None]:
    """Turn an error of the driver into UnreachableError, which names the servers.

    Raises CoffeeError where they answer, and what they answer cannot be read.
    """
    try:
        yield
    except (UnsupportedCodecError, CorruptRecordException) as error:
        raise CoffeeError(
            f"a record of Kafka at {servers} cannot be read ({str(error) or type(error).__name__})"
        ) from error
    except (KafkaError, OSError) as error:
        raise UnreachableError(
            f"Kafka at {servers} cannot be reached ({str(error) or type(error).__name__}): `coffee status` tells"
        ) from error


@asynccontextmanager
async def open_logs(settings: Settings) -> AsyncIterator[KafkaLogs]:
    """Connect for the length of the block. Raises UnreachableError."""
    options = kafka_options(settings)
    consumer, uncommitted = (
        AIOKafkaConsumer(
            **options,
            client_id="coffee-audit",
            enable_auto_commit=False,
            request_timeout_ms=_REQUEST_TIMEOUT_MS,
            isolation_level=level,
            # The broker holds a fetch this long at the end of a partition, so each change to another one costs it.
            fetch_max_wait_ms=50,
        )
        for level in ("read_committed", "read_uncommitted")
    )
    admin = AIOKafkaAdminClient(**options, request_timeout_ms=_REQUEST_TIMEOUT_MS)
    try:
        with naming_kafka(settings.kafka_servers):
            await consumer.start()
            await uncommitted.start()
            await admin.start()
        yield KafkaLogs(consumer, uncommitted, admin, settings.kafka_servers)
    finally:
        await consumer.stop()
        await uncommitted.stop()
        await admin.close()


@dataclass(frozen=True, slots=True)
class LogState:
    """A topic at one moment, and how far a group has come."""

    bounds: Bounds
    ends: Mapping[int, int]
    """Partition → the offset after its last record, committed or not."""
    committed: Mapping[int, int] | None
    """Partition → up to where the group has committed it; None where Kafka does not tell."""

    @property
    def uncommitted(self) -> int:
        """Offsets from the beginning of the first transaction on that is open: nobody may read them yet."""
        return sum(max(0, self.ends.get(number, 0) - last) for number, (_, last) in self.bounds.items())

    @property
    def length(self) -> int:
        """Offsets of the topic."""
        return self.uncommitted + sum(last - first for first, last in self.bounds.values())


class LogEnd:
    """Asks how long a log is and how far a group has come, with consumers that commit nothing and join no group.

    They are made when they are first needed.
    """

    def __init__(self, settings: Settings, topic: str, group: str) -> None:
        self._settings = settings
        self._topic = topic
        self._group = group
        self._stack = AsyncExitStack()
        self._logs: KafkaLogs | None = None
        self._failing = False

    async def read(self) -> LogState | None:
        """Return the state of the topic, or None where Kafka does not answer."""
        return await self._ask(self._read)

    async def members(self) -> dict[int, str] | None:
        """Return which client of the group reads each partition, or None where Kafka does not answer."""

        async def members(logs: KafkaLogs) -> dict[int, str]:
            return await logs.members(self._group, self._topic)

        return await self._ask(members)

    async def count(self, bounds: Bounds) -> int | None:
        """Count the records within these bounds by reading them, or return None where Kafka does not answer."""

        async def count(logs: KafkaLogs) -> int:
            return await logs.count(self._topic, bounds)

        return await self._ask(count)

    async def _ask(self, question: Callable[[KafkaLogs], Awaitable[T]]) -> T | None:
        try:
            async with asyncio.timeout(_LENGTH_TIMEOUT_S):
                if self._logs is None:
                    self._logs = await self._stack.enter_async_context(open_logs(self._settings))
                answer = await question(self._logs)
        except (CoffeeError, KafkaError, OSError, TimeoutError) as error:
            if not self._failing:
                _log.warning("kafka: the length of %s is unknown (%r)", self._topic, error)
            self._failing = True
            await self.close()
            return None
        self._failing = False
        return answer

    async def _read(self, logs: KafkaLogs) -> LogState:
        committed = await logs.committed_now(self._group, self._topic)
        # The ends first: what comes meanwhile is not taken for a transaction that is open.
        ends, bounds = await logs.ends(self._topic), await logs.bounds(self._topic)
        return LogState(bounds, ends, committed)

    async def close(self) -> None:
        """Close the clients, where there are any."""
        self._logs = None
        # Stopped before its tasks have begun, aiokafka raises their cancellation as ours.
        await asyncio.sleep(0)
        with contextlib.suppress(KafkaError, OSError):  # an error at its end changes nothing
            await self._stack.aclose()
        self._stack = AsyncExitStack()
