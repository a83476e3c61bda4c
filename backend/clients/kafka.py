"""Kafka for the backend: how a client connects, and logs as the audits read them."""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    KafkaError,
    NoError,
    UnknownTopicOrPartitionError,
    for_code,
)

from backend.clients.servers import UnreachableError
from coffee_core.errors import ConfigError
from coffee_core.settings import Settings

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


class KafkaLogs:
    """Kafka as the audit reads it: the bounds of a log, the committed offsets of a group, every record in order.

    Has a consumer that commits nothing and joins no group, and an admin client for what a consumer cannot ask.
    """

    def __init__(self, consumer: AIOKafkaConsumer, admin: AIOKafkaAdminClient, servers: str) -> None:
        self._consumer = consumer
        self._admin = admin
        self._servers = servers

    async def bounds(self, topic: str) -> dict[int, tuple[int, int]]:
        """Return the first offset and the one after the last of each partition; empty where there is no topic.

        Raises UnreachableError.
        """
        with naming_kafka(self._servers):
            return await _bounds(self._admin, self._consumer, topic)

    async def records(self, topic: str, bounds: dict[int, tuple[int, int]]) -> AsyncIterator[list[Record]]:
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

    async def committed(self, group: str, topic: str) -> dict[int, int]:
        """Return up to where a group has committed each partition. Raises UnreachableError."""
        with naming_kafka(self._servers):
            found = await self._offsets_of(group)
        return {place.partition: at.offset for place, at in found.items() if place.topic == topic}

    async def _offsets_of(self, group: str) -> Any:
        for _ in range(_COORDINATOR_ATTEMPTS):
            try:
                return await self._admin.list_consumer_group_offsets(group)
            except GroupCoordinatorNotAvailableError:
                # The first question ever asked of a cluster makes it create its topic of offsets.
                await asyncio.sleep(_COORDINATOR_PAUSE_S)
        return await self._admin.list_consumer_group_offsets(group)


async def _bounds(
    admin: AIOKafkaAdminClient, consumer: AIOKafkaConsumer, topic: str
) -> dict[int, tuple[int, int]]:
    """Return the first offset and the one after the last of each partition; raises an error of the driver."""
    # Asks the admin client: a consumer that is subscribed to no topic does not learn of its partitions.
    (about,) = await admin.describe_topics([topic])
    error = for_code(about["error_code"])
    if error is UnknownTopicOrPartitionError:
        return {}
    if error is not NoError:
        raise error
    numbers = sorted(partition["partition"] for partition in about["partitions"])
    partitions = [TopicPartition(topic, number) for number in numbers]
    if not partitions:
        return {}
    first = await consumer.beginning_offsets(partitions)
    last = await consumer.end_offsets(partitions)
    return {partition.partition: (first[partition], last[partition]) for partition in partitions}


@contextmanager
def naming_kafka(servers: str) -> Iterator[None]:
    """Turn an error of the driver into UnreachableError, which names the servers."""
    try:
        yield
    except (KafkaError, OSError) as error:
        raise UnreachableError(
            f"Kafka at {servers} cannot be reached ({str(error) or type(error).__name__}): `coffee status` tells"
        ) from error


@asynccontextmanager
async def open_logs(settings: Settings) -> AsyncIterator[KafkaLogs]:
    """Connect for the length of the block. Raises UnreachableError."""
    options = kafka_options(settings)
    consumer = AIOKafkaConsumer(
        **options,
        client_id="coffee-audit",
        enable_auto_commit=False,
        request_timeout_ms=_REQUEST_TIMEOUT_MS,
        isolation_level="read_uncommitted",
        # The broker holds a fetch this long at the end of a partition, so each change to another one costs it.
        fetch_max_wait_ms=50,
    )
    admin = AIOKafkaAdminClient(**options, request_timeout_ms=_REQUEST_TIMEOUT_MS)
    try:
        with naming_kafka(settings.kafka_servers):
            await consumer.start()
            await admin.start()
        yield KafkaLogs(consumer, admin, settings.kafka_servers)
    finally:
        await consumer.stop()
        await admin.close()


class LogEnd:
    """Asks for the length of a log, with a consumer that reads nothing, commits nothing and joins no group.

    The consumer is made when it is first needed.
    """

    def __init__(self, settings: Settings, topic: str) -> None:
        self._options = kafka_options(settings)
        self._topic = topic
        self._clients: tuple[AIOKafkaAdminClient, AIOKafkaConsumer] | None = None
        self._failing = False

    async def read(self) -> int | None:
        """Return how many records the topic holds, or None where Kafka does not answer."""
        try:
            async with asyncio.timeout(_LENGTH_TIMEOUT_S):
                records = await self._read()
        except (KafkaError, OSError, TimeoutError) as error:
            if not self._failing:
                _log.warning("kafka: the length of %s is unknown (%r)", self._topic, error)
            self._failing = True
            await self.close()
            return None
        self._failing = False
        return records

    async def _read(self) -> int:
        if self._clients is None:
            admin = AIOKafkaAdminClient(**self._options, client_id="coffee-api-ledger")
            consumer = AIOKafkaConsumer(**self._options, client_id="coffee-api-ledger", enable_auto_commit=False)
            self._clients = admin, consumer
            await admin.start()
            await consumer.start()
        bounds = await _bounds(*self._clients, self._topic)
        return sum(last - first for first, last in bounds.values())

    async def close(self) -> None:
        """Close both clients, where there are any."""
        clients, self._clients = self._clients, None
        if clients is not None:
            admin, consumer = clients
            # Stopped before its tasks have begun, aiokafka raises their cancellation as ours.
            await asyncio.sleep(0)
            with contextlib.suppress(KafkaError, OSError):  # an error at its end changes nothing
                await consumer.stop()
            with contextlib.suppress(KafkaError, OSError):
                await admin.close()
