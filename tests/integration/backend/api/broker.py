"""A Kafka of the tests of the order API, and what is on its topic."""

import subprocess
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from coffee_core.keys import TOPIC
from coffee_core.settings import Settings


@dataclass(frozen=True)
class Broker:
    settings: Settings
    process: "subprocess.Popen[bytes]"


async def records(broker: Broker) -> list[Any]:
    """Read the whole topic, a partition after the other."""
    consumer = AIOKafkaConsumer(bootstrap_servers=broker.settings.kafka_servers, enable_auto_commit=False)
    await consumer.start()
    try:
        partitions = [TopicPartition(TOPIC, number) for number in range(broker.settings.topic_partitions)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning()
        found = []
        for partition, end in (await consumer.end_offsets(partitions)).items():
            while await consumer.position(partition) < end:
                found += (await consumer.getmany(partition, timeout_ms=1000)).get(partition, [])
    finally:
        await consumer.stop()
    return found
