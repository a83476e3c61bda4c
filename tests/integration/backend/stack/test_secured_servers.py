"""Every kind of client of ours against servers that want TLS and a password, or a certificate of the client."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest
import redis

from backend.clients.kafka import open_logs
from backend.clients.kafka_producer import TopicProducer
from backend.clients.redis import connect
from backend.clients.servers import UnreachableError, open_servers
from backend.stack.probes import kafka_answers, postgres_answers, redis_answers
from backend.stack.topics import create_topics
from coffee_core.errors import ConfigError, UnavailableError
from coffee_core.keys import TOPIC
from coffee_core.pipelines import DEFAULT_PIPELINES
from coffee_core.settings import Settings
from coffee_tui.data import redis_reader
from tests.outside.brokers import Brokers
from tests.outside.certificates import certificate
from tests.outside.guarded import guarded_postgres, guarded_redis
from tests.waiting import until

REDIS_PASSWORD, KAFKA_PASSWORD = "hush-redis", "hush-kafka's"


@pytest.fixture(scope="module", params=[False, True], ids=["passwords", "mutual"])
def secured(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """One way: TLS and passwords. The other: everybody shows a certificate, and to Kafka nothing else."""
    mutual: bool = request.param
    folder = tmp_path_factory.mktemp("secured")
    shown = certificate(folder, "127.0.0.1", mutual=mutual)
    user, password = ("", "") if mutual else ("coffee", KAFKA_PASSWORD)
    with ExitStack() as servers:
        kafka = servers.enter_context(Brokers(folder / "kafka", 1, shown, user, password))
        yield Settings.from_env(
            {
                "COFFEE_HOME": str(folder / "home"),
                "DATABASE_URL": servers.enter_context(guarded_postgres(folder / "postgres", shown)),
                "REDIS_URL": servers.enter_context(guarded_redis(folder / "redis", shown, REDIS_PASSWORD)),
                "KAFKA_BOOTSTRAP_SERVERS": kafka.servers,
                "KAFKA_SECURITY_PROTOCOL": kafka.protocol,
                "KAFKA_SASL_USERNAME": user,
                "KAFKA_SASL_PASSWORD": password,
                "KAFKA_SSL_CA": str(shown.authority),
                "KAFKA_SSL_KEYSTORE": str(shown.client_keystore) if mutual else "",
            }
        )


async def test_the_probes_speak_tls_where_it_is_asked_for(secured: Settings) -> None:
    assert await redis_answers(secured.redis_url)
    assert await postgres_answers(secured.database_url)
    assert not await redis_answers(secured.redis_url.replace("rediss:", "redis:"))
    assert not await postgres_answers(secured.database_url.partition("?")[0])
    assert not await kafka_answers(secured.kafka_servers)


async def test_topics_orders_and_the_audit_go_through(secured: Settings) -> None:
    await create_topics(secured)
    backend = TopicProducer(secured, TOPIC)
    running = asyncio.create_task(backend.run())

    async def sent() -> bool:
        try:
            await backend.send(b"key", b"{}", [])
        except UnavailableError:
            return False
        return True

    try:
        await until(sent, within_s=60)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    async with open_logs(secured) as logs:
        assert sum(last for _, last in (await logs.bounds(TOPIC)).values()) == 1
    async with open_servers(secured) as servers:
        assert await servers.database.fetchval("select count(*) from orders") == 0
        assert await servers.client.ping()
        # What a replay asks, with the rights that a user of the lab has.
        assert await servers.client.pubsub_numsub("nobody") == [("nobody", 0)]


async def test_the_connections_of_api_and_dashboard_go_through(secured: Settings) -> None:
    link = await connect(secured.redis_url, lambda _reason: None)
    assert await link.send("PING") == b"PONG"
    link.close()
    async with redis_reader.connect(secured.redis_url) as client:
        await redis_reader.read(client, DEFAULT_PIPELINES)
        assert await redis_reader.notifies(client)


async def test_nobody_else_is_let_in(secured: Settings) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(secured.database_url, password="guess")
    with pytest.raises(UnreachableError):
        async with open_logs(replace(secured, kafka_password="guess", kafka_keystore="")):
            pass
    with (
        redis.Redis.from_url(secured.redis_url.replace(REDIS_PASSWORD, "guess")) as client,
        pytest.raises(redis.AuthenticationError),
    ):
        client.ping()


async def test_a_certificate_of_an_unknown_authority_is_refused(secured: Settings, tmp_path: Path) -> None:
    authority = certificate(tmp_path, "127.0.0.1").authority
    with pytest.raises(OSError, match=r"(?i)certificate"):
        await asyncpg.connect(secured.database_url.replace(secured.kafka_ca, str(authority)))
    with pytest.raises(UnavailableError, match=r"(?i)certificate"):
        await connect(secured.redis_url.replace(secured.kafka_ca, str(authority)), lambda _reason: None)
    with pytest.raises(UnreachableError):
        async with open_logs(replace(secured, kafka_ca=str(authority))):
            pass


async def test_a_certificate_of_another_name_is_refused(secured: Settings) -> None:
    elsewhere = secured.redis_url.replace("127.0.0.1", "localhost")
    with redis.Redis.from_url(elsewhere) as client, pytest.raises(redis.ConnectionError, match=r"(?i)mismatch"):
        client.ping()
    with pytest.raises(OSError, match=r"(?i)mismatch"):
        await asyncpg.connect(secured.database_url.replace("127.0.0.1", "localhost"))


async def test_a_file_that_is_no_authority_is_told(secured: Settings) -> None:
    with pytest.raises(ConfigError, match="KAFKA_SSL_CA"):
        async with open_logs(replace(secured, kafka_ca="/nowhere.pem")):
            pass


async def test_a_file_that_is_no_keystore_is_told(secured: Settings) -> None:
    with pytest.raises(ConfigError, match="KAFKA_SSL_KEYSTORE"):
        async with open_logs(replace(secured, kafka_keystore=secured.kafka_ca)):
            pass


@pytest.mark.parametrize("secured", [True], indirect=True)
async def test_without_a_certificate_of_ones_own_nobody_is_let_in(secured: Settings) -> None:
    redis_url, database_url = (url.partition("&ssl")[0] for url in (secured.redis_url, secured.database_url))
    assert "certfile" not in redis_url
    database_url += f"&sslrootcert={secured.kafka_ca}"
    assert not await redis_answers(redis_url)
    assert not await postgres_answers(database_url)
    with pytest.raises((OSError, asyncpg.ConnectionDoesNotExistError)):
        await asyncpg.connect(database_url)
    with pytest.raises(UnavailableError):
        await connect(redis_url, lambda _reason: None)
