"""A dependency that dies takes its own pipeline down and no other, and comes back by itself."""

import signal
from pathlib import Path

import pytest
from redis.asyncio import Redis

from backend.stack import postgres as postgres_stack
from backend.stack import redis as redis_stack
from coffee_core.keys import STREAM
from coffee_core.settings import Settings
from tests.database import connected
from tests.integration.backend.api.in_process import LocalApi, in_process
from tests.integration.backend.api.process import KEY, Api, running, taken
from tests.servers import free_port, halt, serving
from tests.waiting import until


@pytest.fixture
def own(tmp_path: Path) -> Settings:
    """Settings of servers that this test may kill."""
    return Settings.from_env(
        {
            "COFFEE_HOME": str(tmp_path),
            "COFFEE_REDIS_PORT": str(free_port()),
            "COFFEE_POSTGRES_PORT": str(free_port()),
        }
    )


async def _refused(api: Api, pipeline: str) -> None:
    status, problem = await api.order(pipeline)
    assert (status, problem["type"]) == (503, "/problems/unavailable")


async def test_it_starts_with_nothing_up_and_says_what_is_missing(tmp_path: Path) -> None:
    ports = {f"COFFEE_{name}_PORT": str(free_port()) for name in ("POSTGRES", "REDIS", "KAFKA")}
    async with running(tmp_path, **ports) as api:
        for pipeline in ("v1", "v2", "v3"):
            await _refused(api, pipeline)
        assert await api.get("/startupz") == (503, {"started": False, "missing": ["kafka", "postgres", "redis"]})
        status, said = await api.get("/readyz")
        assert (status, said["ready"]) == (503, False)
        v3 = said["pipelines"]["v3"]
        assert (v3["ready"], v3["missing"]) == (False, ["kafka"])
        assert str(ports["COFFEE_REDIS_PORT"]) in said["dependencies"]["redis"]["detail"]

        async def why_v3_waits() -> str:
            found = (await api.get("/readyz/v3"))[1]["standstill"]
            return "" if found is None else str(found["reason"])

        assert (await until(why_v3_waits, within_s=60)).startswith("postgres is down: ")

        async def has_waited_enough() -> bool:
            return (await api.get("/startupz"))[0] == 200

        await until(has_waited_enough, within_s=60)


async def test_redis_dies_and_returns(tmp_path: Path, own: Settings, database_url: str) -> None:
    part = redis_stack.part(own)
    async with running(
        tmp_path, DATABASE_URL=database_url, REDIS_URL=own.redis_url, COFFEE_PIPELINES="v1,v2"
    ) as api:
        with serving(part, own, tmp_path / "redis.log") as server:
            await until(lambda: api.is_ready("v2"))
            assert (await api.order("v2", key=KEY))[0] == 202
            server.send_signal(signal.SIGKILL)
            await until(lambda: api.is_not_ready("v2"))
            await _refused(api, "v2")
            await until(lambda: api.is_ready("v1"))
            # It has been there once: the API had started, and takes orders into v1.
            assert await api.get("/startupz") == (200, {"started": True, "missing": []})
            assert (await api.order("v1"))[0] == 201
        with serving(part, own, tmp_path / "redis.log"):
            await until(lambda: api.is_ready("v2"))
            assert await api.order("v2", key=KEY) == taken("v2", KEY)
            async with Redis.from_url(own.redis_url) as client:
                assert await client.xlen(STREAM) == 1


async def test_a_redis_that_hangs_leaves_the_outcome_unknown(tmp_path: Path, own: Settings) -> None:
    with serving(redis_stack.part(own), own, tmp_path / "redis.log") as server:
        async with running(tmp_path, REDIS_URL=own.redis_url, COFFEE_PIPELINES="v2") as api:
            await until(lambda: api.is_ready("v2"))
            halt(server)
            try:
                status, problem = await api.order("v2", key=KEY)
                assert (status, problem["type"], problem["message_id"]) == (
                    *(504, "/problems/outcome-unknown"),
                    KEY,
                )
                await until(lambda: api.is_not_ready("v2"))
                await _refused(api, "v2")
            finally:
                server.send_signal(signal.SIGCONT)
            await until(lambda: api.is_ready("v2"))
            assert (await api.order("v2", key=KEY))[0] == 202
            async with Redis.from_url(own.redis_url) as client:
                assert await client.xlen(STREAM) == 1


async def test_postgres_dies_and_returns(tmp_path: Path, own: Settings, redis_url: str) -> None:
    part = postgres_stack.part(own)
    async with running(
        tmp_path, DATABASE_URL=own.database_url, REDIS_URL=redis_url, COFFEE_PIPELINES="v1,v2"
    ) as api:
        with serving(part, own, tmp_path / "postgres.log") as server:
            await until(lambda: api.is_ready("v1"))
            assert (await api.order("v1", key=KEY))[0] == 201
            server.send_signal(signal.SIGKILL)
            await until(lambda: api.is_not_ready("v1"))
            await _refused(api, "v1")
            assert (await api.get("/readyz"))[1]["pipelines"]["v1"]["missing"] == ["postgres"]
            assert (await api.order("v2"))[0] == 202
        with serving(part, own, tmp_path / "postgres.log"):
            await until(lambda: api.is_ready("v1"))
            assert await api.order("v1", key=KEY) == taken("v1", KEY)


async def test_postgres_without_its_table_is_not_ready(tmp_path: Path, database_url: str) -> None:
    elsewhere = database_url.rpartition("/")[0] + "/postgres"
    async with running(tmp_path, DATABASE_URL=elsewhere, COFFEE_PIPELINES="v1") as api:

        async def says_migrations() -> bool:
            said = (await api.get("/readyz"))[1]["dependencies"]["postgres"]
            return not said["up"] and "migrations" in said["detail"]

        await until(says_migrations)
        await _refused(api, "v1")


async def test_a_postgres_that_takes_no_writes_is_not_ready(settings: Settings) -> None:
    server, _, name = settings.database_url.partition("?")[0].rpartition("/")

    async with in_process(settings) as api, connected(f"{server}/postgres") as admin:
        await until(lambda: api.is_ready("v1"))
        await admin.execute(f"alter database {name} set default_transaction_read_only = on")
        await admin.fetch("select pg_terminate_backend(pid) from pg_stat_activity where datname = $1", name)
        await until(lambda: _is_down(api))
        assert (await api.order("v1"))[0] == 503
        await admin.execute(f"alter database {name} reset default_transaction_read_only")
        await admin.fetch("select pg_terminate_backend(pid) from pg_stat_activity where datname = $1", name)
        await until(lambda: api.is_ready("v1"))
        assert (await api.order("v1"))[0] == 201


async def _is_down(api: LocalApi) -> bool:
    return not await api.is_ready("v1")
