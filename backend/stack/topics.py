"""The topics of the pipelines; ``python -m backend.stack.topics`` creates them on a Kafka of one's own."""

import asyncio
import sys

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from backend.clients.kafka import kafka_options
from coffee_core.errors import CoffeeError, StackError
from coffee_core.pipelines import LogKind
from coffee_core.settings import Settings

_WITHIN_S = 20.0
_KEPT = {"retention.ms": "-1", "retention.bytes": "-1", "cleanup.policy": "delete"}
"""Kept for ever: a replay counts from the first order on."""
_MOST_REPLICAS = 3


async def create_topics(settings: Settings) -> None:
    """Create the topics where they are missing. Raises StackError where the broker refuses for 20 s."""
    try:
        async with asyncio.timeout(_WITHIN_S):
            while True:
                problem = await _create(settings)
                if problem is None:
                    return
                # A broker that has just started answers before it may create topics.
                await asyncio.sleep(0.1)
    except TimeoutError as error:
        raise StackError(f"Kafka at {settings.kafka_servers} does not create the topics: {problem!r}") from error


def topics_of(settings: Settings) -> dict[str, int]:
    """Return the topics of the chosen pipelines, and how many partitions each has."""
    logs = [log for pipeline in settings.pipelines if (log := pipeline.info.log) and log.kind is LogKind.TOPIC]
    return {log.name: settings.topic_partitions for log in logs} | {log.dead_letters: 1 for log in logs}


async def _create(settings: Settings) -> KafkaError | OSError | None:
    client = AIOKafkaAdminClient(**kafka_options(settings), request_timeout_ms=5_000)
    try:
        await client.start()
        replicas = min(_MOST_REPLICAS, len((await client.describe_cluster())["brokers"]))
        response = await client.create_topics(
            [
                NewTopic(name, partitions, replicas, topic_configs=_KEPT)
                for name, partitions in topics_of(settings).items()
            ]
        )
        for _topic, code, *_message in response.topic_errors:
            kind = for_code(code)
            if code and kind is not TopicAlreadyExistsError:
                return kind()
    except (KafkaError, OSError) as error:
        return error
    finally:
        await client.close()
    return None


def main() -> int:
    """Create the topics of the settings' Kafka: for deployments that start no stack. Return the exit code."""
    try:
        asyncio.run(create_topics(Settings.attach()))
    except CoffeeError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
