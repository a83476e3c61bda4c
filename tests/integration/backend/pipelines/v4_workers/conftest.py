from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from redis.asyncio import Redis

from backend.clients.daemon import Database
from backend.stack.topics import create_topics
from coffee_core.keys import WORKERS_DEAD_TOPIC, WORKERS_TOPIC
from coffee_core.pipelines.constants import V1, V4
from coffee_core.settings import Settings
from tests.integration.backend.pipelines.v4_workers.groups import Groups


@pytest.fixture
async def kafka_settings(broker: Settings, settings: Settings) -> AsyncIterator[Settings]:
    """Settings of v1 and v4 before empty topics."""
    wanted = replace(settings, given_kafka_servers=broker.kafka_servers, pipelines=(V1, V4))
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.kafka_servers)
    await admin.start()
    try:
        await create_topics(wanted)
        yield wanted
        await admin.delete_topics([WORKERS_TOPIC, WORKERS_DEAD_TOPIC])
    finally:
        await admin.close()


@pytest.fixture
async def groups(connection: Database, client: Redis) -> Groups:
    """Both groups before a topic in memory."""
    made = Groups(connection, client)
    await made.worker.positions(range(3))
    return made
