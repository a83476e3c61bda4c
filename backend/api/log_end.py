"""How long v3's log is."""

import asyncio
import contextlib
import logging

from aiokafka import AIOKafkaConsumer, TopicPartition
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
        self._consumer: AIOKafkaConsumer | None = None
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
        if self._consumer is None:
            self._consumer = AIOKafkaConsumer(
                **self._options, client_id="coffee-api-ledger", enable_auto_commit=False
            )
            await self._consumer.start()
        numbers = self._consumer.partitions_for_topic(self._topic)
        if numbers is None:
            await self._consumer.topics()
            numbers = self._consumer.partitions_for_topic(self._topic) or set()
        partitions = [TopicPartition(self._topic, number) for number in numbers]
        if not partitions:
            return 0
        first = await self._consumer.beginning_offsets(partitions)
        last = await self._consumer.end_offsets(partitions)
        return int(sum(last.values()) - sum(first.values()))

    async def close(self) -> None:
        """Close the consumer, where there is one."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            with contextlib.suppress(KafkaError, OSError):  # it is given up: what its end says changes nothing
                await consumer.stop()
