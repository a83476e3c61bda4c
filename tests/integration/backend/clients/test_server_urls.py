"""Each form of a URL, tried with every client of ours against servers that are there."""

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from redis import Redis

from backend.clients.daemon import open_postgres, open_redis
from backend.clients.postgres import PostgresPool
from backend.clients.redis import connect
from backend.db.migrations import HEAD, current_revision, migrate
from backend.stack import postgres as postgres_stack
from backend.stack import redis as redis_stack
from backend.stack.probes import postgres_answers, redis_answers
from coffee_core.errors import UnavailableError
from coffee_core.pipelines import DEFAULT_PIPELINES
from coffee_core.server_urls import PostgresUrl, RedisUrl
from coffee_core.settings import Settings
from coffee_tui.data import redis_reader
from flink.outage import Outage
from flink.redis_sink import RedisTotals
from flink.submit import wait_for_servers
from tests.outside.certificates import Certificate, certificate
from tests.outside.tls_front import tls_front
from tests.servers import free_port, serving
from tests.waiting import until


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate(tmp_path_factory.mktemp("certificates"), "127.0.0.1", "localhost")


@pytest.fixture(scope="module")
def sockets() -> Iterator[Path]:
    # Not below pytest's folder: the path of a socket may have 107 bytes.
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def postgres(
    shown: Certificate, sockets: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """What stands in braces in the URLs below; a server on TCP, by TLS, and on a Unix socket."""
    home = tmp_path_factory.mktemp("postgres urls")
    settings = Settings.from_env({"COFFEE_HOME": str(home), "COFFEE_POSTGRES_PORT": str(free_port())})
    embedded = postgres_stack.part(settings)
    sockets.chmod(0o777)  # the server may have an account of its own

    async def prepare() -> None:
        await embedded.prepare()
        with (home / "postgres" / "pg_hba.conf").open("a") as access:
            access.write("local all coffee scram-sha-256\n")

    part = replace(embedded, prepare=prepare, argv=(*embedded.argv, f"-cunix_socket_directories={sockets}"))
    with serving(part, settings, home / "log"), tls_front(shown.context, part.port or 0, postgres=True) as tls:
        yield {
            "password": PostgresUrl.parse(settings.database_url).password,
            "port": str(settings.postgres_port),
            "tls": str(tls),
            "nobody": str(free_port()),
            "sockets": str(sockets),
            "ca": str(shown.authority),
        }


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://coffee:{password}@127.0.0.1:{port}/coffee",
        "postgres://coffee:{password}@127.0.0.1:{port}/coffee?channel_binding=prefer&connect_timeout=5&keepalives=1",
        "postgres://coffee:{password}@localhost:{port}?gssencmode=disable&client_encoding=utf8&sslmode=allow",
        "postgresql:///coffee?host=127.0.0.1&port={port}&user=coffee&password={password}",
        "postgresql://coffee:{password}@127.0.0.1:{nobody},127.0.0.1:{port}/coffee",
        "postgresql://coffee:{password}@127.0.0.1:{nobody},127.0.0.1:{port}/coffee?target_session_attrs=primary",
        "postgresql://coffee:{password}@127.0.0.1:{port}/coffee?options=-c%20jit%3Doff&application_name=a%20b",
        "postgresql://coffee:{password}@127.0.0.1:{port}/coffee?search_path=public&statement_timeout=9s",
        "postgresql://coffee:{password}@127.0.0.1:{tls}/coffee?sslmode=require",
        "postgresql://coffee:{password}@127.0.0.1:{tls}/coffee?ssl=true",
        "postgresql://coffee:{password}@localhost:{tls}/coffee?sslmode=verify-full&sslrootcert={ca}",
        "postgresql://coffee:{password}@127.0.0.1:{tls}/coffee?sslmode=verify-ca&sslrootcert={ca}&sslsni=1",
        "postgresql://coffee:{password}@/coffee?host={sockets}&port={port}",
        "postgresql://coffee:{password}@/coffee?host={sockets}&port={port}&sslmode=require",
    ],
)
async def test_every_client_connects_to_postgresql(postgres: dict[str, str], url: str, tmp_path: Path) -> None:
    given = url.format(**postgres)
    settings = Settings.from_env({"DATABASE_URL": given, "COFFEE_HOME": str(tmp_path)})
    assert await postgres_answers(settings.database_url)
    await migrate(settings.database_url)
    assert await current_revision(settings.database_url) == HEAD
    connection = await open_postgres(settings.database_url)
    try:
        assert await connection.fetchval("select current_database()") == "coffee"
    finally:
        await connection.close()
    pool = PostgresPool(settings.database_url)
    running = asyncio.create_task(pool.run())
    try:
        await until(lambda: pool.health.up)
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


@pytest.fixture(scope="module")
def valkey(
    shown: Certificate, sockets: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    home = tmp_path_factory.mktemp("redis urls")
    settings = Settings.from_env({"COFFEE_HOME": str(home), "COFFEE_REDIS_PORT": str(free_port())})
    part, path = redis_stack.part(settings), sockets / "redis.sock"
    part = replace(part, argv=(*part.argv, "--unixsocket", str(path), "--unixsocketperm", "777"))
    with serving(part, settings, home / "log"), tls_front(shown.context, settings.redis_port) as tls:
        with Redis.from_url(settings.redis_url) as client:
            client.execute_command("ACL", "SETUSER", "bar/ista", "on", ">p@ss %", "~*", "&*", "+@all")
        yield {
            "password": RedisUrl.parse(settings.redis_url).password,
            "port": str(settings.redis_port),
            "tls": str(tls),
            "path": str(path),
            "ca": str(shown.authority),
        }


@pytest.mark.parametrize(
    "url",
    [
        "redis://:{password}@127.0.0.1:{port}",
        "redis://bar%2Fista:p%40ss%20%25@localhost:{port}/3",
        "redis://localhost:{port}/3/?username=bar%252Fista&password=p%2540ss%2520%2525",
        "redis://:{password}@127.0.0.1:{port}/0?db=5&protocol=3&client_name=me",
        "redis://:{password}@127.0.0.1:{port}?socket_timeout=0.01&max_connections=1&health_check_interval=1",
        "redis://:{password}@127.0.0.1:{port}?decode_responses=True&encoding=latin-1&retry_on_timeout=True",
        "rediss://:{password}@localhost:{tls}/2?ssl_ca_certs={ca}",
        "rediss://:{password}@127.0.0.1:{tls}/2?ssl_cert_reqs=none",
        "rediss://:{password}@127.0.0.1:{tls}/2?ssl_ca_certs={ca}&ssl_check_hostname=False",
        "unix://:{password}@{path}",
        "unix://bar%2Fista:p%40ss%20%25@{path}?db=4&protocol=3",
    ],
)
async def test_every_client_connects_to_redis(valkey: dict[str, str], url: str) -> None:
    settings = Settings.from_env({"REDIS_URL": url.format(**valkey)})
    assert await redis_answers(settings.redis_url)
    link = await connect(settings.redis_url, lambda _reason: None)
    try:
        assert await link.send("SET", "written", "by the API") == b"OK"
        # RESP 2 everywhere: a map is a list of names and values.
        assert isinstance(await link.send("HGETALL", "nothing"), list)
    finally:
        link.close()
    async with open_redis(settings.redis_url) as client:
        assert await client.get("written") == "by the API"
    async with redis_reader.connect(settings.redis_url) as client:
        await redis_reader.read(client, DEFAULT_PIPELINES)
        assert await redis_reader.notifies(client)
    sink = RedisTotals(settings.redis_url, "1")
    try:
        assert sink._redis.get("written") == "by the API"
    finally:
        sink.close()


async def test_the_submitter_waits_for_servers_on_unix_sockets(
    postgres: dict[str, str], valkey: dict[str, str]
) -> None:
    settings = Settings.from_env(
        {
            "DATABASE_URL": "postgresql://coffee@127.0.0.1:{nobody},127.0.0.1:{port}/coffee".format(**postgres),
            "REDIS_URL": "unix://{path}".format(**valkey),
            "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:{nobody},127.0.0.1:{port}".format(**postgres),
            "FLINK_REST_URL": "http://me:hush@127.0.0.1:{port}/flink".format(**postgres),
        }
    )
    async with open_redis(settings.redis_url) as client:
        await asyncio.wait_for(wait_for_servers(settings, Outage(settings, client)), 30)


@pytest.mark.parametrize("parameter", ["sslrootcert", "sslcert", "sslkey", "sslcrl"])
async def test_a_file_that_cannot_be_read_is_named_by_every_client(parameter: str) -> None:
    url = Settings.from_env(
        {"DATABASE_URL": f"postgresql://me:hush@127.0.0.1:1/x?sslmode=verify-full&{parameter}=/nowhere.pem"}
    ).database_url
    pool = PostgresPool(url)
    complaint = rf"{parameter}=/nowhere.pem cannot be read: No such file or directory"
    for attempt in (open_postgres(url), current_revision(url), pool._probe(), postgres_answers(url)):
        with pytest.raises((OSError, UnavailableError), match=complaint):
            await attempt


@pytest.mark.parametrize("parameter", ["ssl_ca_certs", "ssl_certfile", "ssl_keyfile"])
async def test_a_file_of_redis_that_cannot_be_read_is_named(parameter: str) -> None:
    url = Settings.from_env({"REDIS_URL": f"rediss://:hush@127.0.0.1:1/0?{parameter}=/nowhere.pem"}).redis_url
    with pytest.raises(UnavailableError, match=f"{parameter}=/nowhere.pem cannot be read"):
        await connect(url, lambda _reason: None)
