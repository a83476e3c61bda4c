from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from redis.asyncio import Redis

from backend.clients.daemon import Database
from backend.stack import kafka as kafka_stack
from backend.stack.topics import create_topics
from coffee_core.keys import DEAD_TOPIC, TOPIC
from coffee_core.settings import Settings
from tests.integration.backend.pipelines.job import KEYS, Job
from tests.servers import free_port, serving


@pytest.fixture
def settings(tmp_path: Path, database_url: str, redis_url: str) -> Settings:
    """Settings of v1 and v2 on the servers of this test."""
    return Settings.from_env({"COFFEE_HOME": str(tmp_path), "DATABASE_URL": database_url, "REDIS_URL": redis_url})


@pytest.fixture(scope="package")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    folder = tmp_path_factory.mktemp("kafka server")
    ports = {f"COFFEE_KAFKA_{name}PORT": str(free_port()) for name in ("", "CONTROLLER_")}
    settings = Settings.from_env({"COFFEE_HOME": str(folder), **ports})
    with serving(kafka_stack.part(settings), settings, folder / "log", within_s=90):
        yield settings


@pytest.fixture
async def job(
    tmp_path: Path, broker: Settings, settings: Settings, connection: Database, client: Redis
) -> AsyncIterator[Job]:
    """A job before empty topics."""
    servers = broker.kafka_servers
    settings = replace(settings, given_kafka_servers=servers)
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        await admin.delete_topics([TOPIC, DEAD_TOPIC])
        await create_topics(settings)
    finally:
        await admin.close()
    await client.set(KEYS.epoch, "1")
    producer = AIOKafkaProducer(bootstrap_servers=servers)
    await producer.start()
    yield Job(settings, connection, producer)
    await producer.stop()
