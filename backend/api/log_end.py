"""How long v3's log is."""

import asyncio
import contextlib
import logging

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from backend.kafka_options import kafka_options
from coffee_core.settings import Settings

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
