"""The two embedded servers are what the pipelines rely on."""

import pytest
from redis.asyncio import Redis

from tests.database import connected


async def test_postgres_acknowledges_only_what_is_on_disk(database_url: str) -> None:
    async with connected(database_url) as connection:
        found = {name: await connection.fetchval(f"SHOW {name}") for name in ("synchronous_commit", "fsync")}
        assert found == {"synchronous_commit": "on", "fsync": "on"}
        assert await connection.fetchval("SHOW data_checksums") == "on"
        assert await connection.fetchval("SHOW listen_addresses") == "127.0.0.1"
        assert (await connection.fetchval("SHOW server_version")).startswith("18")


async def test_the_orders_table_is_there_and_the_role_is_no_superuser(database_url: str) -> None:
    async with connected(database_url) as connection:
        assert await connection.fetchval("SELECT count(*) FROM orders") == 0
        assert await connection.fetchval("SELECT usesuper FROM pg_user WHERE usename = current_user") is False


async def test_variables_for_another_postgres_change_nothing(
    postgres_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "PGSSLMODE": "verify-full",
        "PGSSLROOTCERT": "/nowhere/ca.pem",
        "PGSSLCERT": "/nowhere/us.crt",
        "PGSSLKEY": "/nowhere/us.key",
        "PGHOST": "192.0.2.1",
        "PGPORT": "1",
        "PGUSER": "nobody",
        "PGPASSWORD": "wrong",
        "PGDATABASE": "elsewhere",
        "PGPASSFILE": "/nowhere/pgpass",
        "PGKRBSRVNAME": "nobody",
    }.items():
        monkeypatch.setenv(name, value)
    async with connected(postgres_server) as connection:
        assert await connection.fetchval("SELECT current_database()") == "coffee"


async def test_redis_writes_to_disk_and_notifies(redis_url: str) -> None:
    client = Redis.from_url(redis_url, decode_responses=True)
    try:
        assert (await client.config_get("appendfsync"))["appendfsync"] == "always"
        assert (await client.config_get("appendonly"))["appendonly"] == "yes"
        subscription = client.pubsub()
        await subscription.subscribe("__keyspace@0__:v2:metrics:total_orders")
        first = await subscription.get_message(timeout=2)
        assert first is not None
        assert first["type"] == "subscribe"
        await client.incr("v2:metrics:total_orders")
        heard = await subscription.get_message(timeout=2)
        assert heard is not None
        assert heard["data"] == "incrby"
        await subscription.aclose()
    finally:
        await client.aclose()
