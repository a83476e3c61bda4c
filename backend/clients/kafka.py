"""How every Kafka client of the backend connects: servers, TLS and user, by the settings."""

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


# Kafka as the audit reads it: how long the logs are, how far the job has checkpointed, every record in turn.


# What the driver logs, an error of ours says too.
logging.getLogger("aiokafka").addHandler(logging.NullHandler())
_REQUEST_TIMEOUT_MS = 5_000
_POLL_MS = 500
_ATTEMPTS, _PAUSE_S = 20, 0.25
_MOST_AT_ONCE = 2_000


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
    """A consumer that commits nothing and joins no group, and a client for what a consumer cannot ask."""

    def __init__(self, consumer: AIOKafkaConsumer, admin: AIOKafkaAdminClient, servers: str) -> None:
        self._consumer = consumer
        self._admin = admin
        self._servers = servers

    async def bounds(self, topic: str) -> dict[int, tuple[int, int]]:
        """Return the first offset and the one after the last of each partition; empty where there is no topic.

        Raises UnreachableError.
        """
        with naming_kafka(self._servers):
            partitions = await self._partitions(topic)
            if not partitions:
                return {}
            first = await self._consumer.beginning_offsets(partitions)
            last = await self._consumer.end_offsets(partitions)
        return {each.partition: (first[each], last[each]) for each in partitions}

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
                    answer = await self._consumer.getmany(
                        partition, timeout_ms=_POLL_MS, max_records=_MOST_AT_ONCE
                    )
                found = [
                    Record(f"{number}:{each.offset}", number, each.offset, each.key, each.value, each.timestamp)
                    for each in answer.get(partition, [])
                    if each.offset < last
                ]
                if found:
                    yield found

    async def committed(self, group: str, topic: str) -> dict[int, int]:
        """Return up to where a group has committed each partition. Raises UnreachableError."""
        with naming_kafka(self._servers):
            found = await self._offsets_of(group)
        return {each.partition: at.offset for each, at in found.items() if each.topic == topic}

    async def _offsets_of(self, group: str) -> Any:
        for _ in range(_ATTEMPTS):
            try:
                return await self._admin.list_consumer_group_offsets(group)
            except GroupCoordinatorNotAvailableError:
                # The first question ever asked of a cluster makes it create its topic of offsets.
                await asyncio.sleep(_PAUSE_S)
        return await self._admin.list_consumer_group_offsets(group)

    async def _partitions(self, topic: str) -> list[TopicPartition]:
        (about,) = await self._admin.describe_topics([topic])
        kind = for_code(about["error_code"])
        if kind is UnknownTopicOrPartitionError:
            return []
        if kind is not NoError:
            raise kind
        return [
            TopicPartition(topic, number) for number in sorted(each["partition"] for each in about["partitions"])
        ]


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
        # What the broker makes a fetch wait at the end of a partition, and so each change to another one.
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


# How long v3's log is.


log = logging.getLogger(__name__)

_TIMEOUT_S = 2.0


class LogEnd:
    """Asks with a consumer that reads nothing, commits nothing and joins no group; it is made when first asked."""

    def __init__(self, settings: Settings, topic: str) -> None:
        self._options = kafka_options(settings)
        self._topic = topic
        self._clients: tuple[AIOKafkaAdminClient, AIOKafkaConsumer] | None = None
        self._failing = False

    async def read(self) -> int | None:
        """Return the records ever written to the topic and still there, or None where Kafka does not say."""
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                records = await self._read()
        except (KafkaError, OSError, TimeoutError) as error:
            if not self._failing:
                log.warning("kafka: the length of %s is unknown (%r)", self._topic, error)
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
        admin, consumer = self._clients
        # A consumer without a topic of its own never hears of partitions.
        (about,) = await admin.describe_topics([self._topic])
        partitions = [TopicPartition(self._topic, each["partition"]) for each in about["partitions"]]
        if not partitions:
            return 0
        first = await consumer.beginning_offsets(partitions)
        last = await consumer.end_offsets(partitions)
        return int(sum(last.values()) - sum(first.values()))

    async def close(self) -> None:
        """Close both clients, where there are any."""
        clients, self._clients = self._clients, None
        if clients is not None:
            admin, consumer = clients
            # Stopped before its tasks have begun, aiokafka raises their cancellation as ours.
            await asyncio.sleep(0)
            with contextlib.suppress(KafkaError, OSError):  # it is given up: what its end says changes nothing
                await consumer.stop()
            with contextlib.suppress(KafkaError, OSError):
                await admin.close()
