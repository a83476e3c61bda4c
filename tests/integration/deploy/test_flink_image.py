"""The image of Flink, built by its Dockerfile without Docker: its job runs, and outlives the loss of a cluster."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from redis.asyncio import Redis

from backend.pipelines.audit import audit
from backend.stack import kafka as kafka_stack
from backend.stack.topics import create_topics
from coffee_core.keys import TOPIC, MetricKeys
from coffee_core.order import Order
from coffee_core.pipelines.constants import V3
from coffee_core.settings import Settings
from tests.integration.backend.pipelines.v2_streams.bench import mixed
from tests.integration.deploy.flink_image import SUBMITTER, FlinkImage
from tests.integration.deploy.rehearsal import REPOSITORY, USER, Stage, build, open_place
from tests.outside.distribution import lay_out
from tests.outside.storage import Storage
from tests.servers import free_port, serving
from tests.waiting import until

KEYS = MetricKeys(V3)
WITHIN_S = 240


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def image() -> Iterator[Stage]:
    with open_place("flink") as folder:
        official = lay_out(folder / "official")
        yield build(REPOSITORY / "docker" / "flink" / "Dockerfile", folder, {"flink": official})


@pytest.fixture
def settings(tmp_path: Path, database_url: str, redis_url: str) -> Iterator[Settings]:
    """Settings of v3 on real servers, with its checkpoints in a bucket."""
    ports = {f"COFFEE_KAFKA_{name}PORT": str(free_port()) for name in ("", "CONTROLLER_")}
    kafka = Settings.from_env({"COFFEE_HOME": str(tmp_path / "kafka"), **ports})
    with serving(kafka_stack.part(kafka), kafka, tmp_path / "kafka.log", within_s=90):
        yield Settings.from_env(
            {
                "COFFEE_HOME": str(tmp_path),
                "DATABASE_URL": database_url,
                "REDIS_URL": redis_url,
                "KAFKA_BOOTSTRAP_SERVERS": kafka.kafka_servers,
                "COFFEE_TOPIC_PARTITIONS": "2",
                "COFFEE_FLINK_CHECKPOINTS": "s3://coffee/checkpoints",
            }
        )


@pytest.fixture
async def cluster(image: Stage, settings: Settings, tmp_path: Path) -> AsyncIterator[FlinkImage]:
    with Storage(tmp_path / "storage", "coffee") as storage:
        logs = tmp_path / "logs"
        logs.mkdir()
        cluster = FlinkImage(image, logs, settings, storage)
        try:
            yield cluster
        finally:
            cluster.close()


async def put(settings: Settings, *orders: Order) -> None:
    """Put orders on the topic, as the API writes them."""
    async with AIOKafkaProducer(bootstrap_servers=settings.kafka_servers) as producer:
        for order in orders:
            value = json.dumps(order.to_fields()).encode()
            await producer.send_and_wait(TOPIC, value, str(order.message_id).encode())


def test_its_own_python_is_all_that_it_has_of_the_wheel(image: Stage) -> None:
    installed = next((image.root / "opt/coffee").glob("lib/python3.*/site-packages"))
    assert (installed / "pyflink" / "table").is_dir()
    assert not (installed / "pyflink" / "lib").exists()
    assert not (image.root / "opt/coffee/app/backend").exists()
    libraries = " ".join(path.name for path in (image.root / "opt/flink/lib").glob("*.jar"))
    for name in ("flink-python-", "flink-sql-connector-kafka-", "flink-connector-jdbc-core-", "postgresql-"):
        assert name in libraries
    assert image.user == USER


@pytest.mark.timeout(900)
async def test_the_job_goes_on_from_object_storage_when_the_cluster_is_lost(
    cluster: FlinkImage, settings: Settings, client: Redis
) -> None:
    await create_topics(settings)

    async def shown(orders: int) -> bool:
        assert not cluster.ended()
        return await client.get(KEYS.total_orders) == str(orders)

    first, second, third = mixed(200, 1), mixed(100, 2), mixed(50, 3)
    cluster.start_cluster()
    cluster.start_submitter()
    await put(settings, *first, *first[:20])
    await until(lambda: shown(200), WITHIN_S)

    async def checkpoints() -> int:
        listed = await client.lrange(KEYS.checkpoints, 0, 0)
        return int(listed[0].rpartition("chk-")[2]) if listed else 0

    async def passed(number: int) -> bool:
        return await checkpoints() >= number

    # The second from now on has begun after the first orders were counted.
    wanted = await checkpoints() + 2
    await until(lambda: passed(wanted), WITHIN_S)

    cluster.kill_cluster()
    await put(settings, *second, *first[20:40])
    cluster.start_cluster()
    await put(settings, *third)
    await until(lambda: shown(350), WITHIN_S)
    assert "from checkpoint s3://coffee/checkpoints/epoch-1-" in cluster.said(SUBMITTER)
    (balance,) = await audit(settings, (V3,), settle_s=30, deep=True)
    assert balance.balanced, balance
    assert (balance.shown.orders, balance.duplicates_dropped) == (350, 40)
