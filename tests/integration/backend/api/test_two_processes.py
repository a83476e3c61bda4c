"""Two API processes behind one port are as one to their clients."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import asyncpg
from redis.asyncio import Redis

from coffee_core.keys import STREAM
from tests.integration.backend.api.process import ORDER, OTHER, Api, running, taken
from tests.servers import free_port
from tests.waiting import until

KEYS = [str(UUID(int=0x01900000_0000_7000_8000_000000000000 + number)) for number in range(40)]


async def _post(api: Api, pipeline: str, key: str, order: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Post on a connection of its own, which either process may get."""
    async with (
        aiohttp.ClientSession(api.base_url) as session,
        session.post(f"/api/{pipeline}/order", json=order, headers={"Idempotency-Key": key}) as answer,
    ):
        return answer.status, await answer.json(content_type=None)


async def test_a_key_is_one_order_whoever_is_asked(
    tmp_path: Path, database_url: str, redis_url: str, database: "asyncpg.Connection[Any]", redis: "Redis[str]"
) -> None:
    port = free_port()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    env = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "COFFEE_PIPELINES": "v1,v2"}
    env |= {"COFFEE_API_PORT_SHARED": "yes", "COFFEE_LOG_LEVEL": "debug"}
    async with running(tmp_path / "one", port, **env) as api, running(tmp_path / "two", port, **env):
        logs = [tmp_path / name / "api.log" for name in ("one", "two")]
        await until(lambda: all("postgres is up" in log.read_text() for log in logs))
        await until(lambda: all("redis is up" in log.read_text() for log in logs))
        for pipeline in ("v1", "v2"):
            # Both at once, and afterwards: the first answer again, whichever process gives it.
            answers = await asyncio.gather(*(_post(api, pipeline, key, ORDER) for key in KEYS for _ in range(2)))
            assert {status for status, _ in answers} <= {taken(pipeline, "")[0], 409}
            for key in KEYS:
                assert await _post(api, pipeline, key, ORDER) == taken(pipeline, key)
                assert (await _post(api, pipeline, key, OTHER))[0] == 422
        posts = Counter(log.read_text().count("POST /api/") for log in logs)
        assert 0 not in posts, "the system gave every connection to one of them"
    assert await database.fetchval("SELECT count(*) FROM orders WHERE version = 'v1'") == len(KEYS)
    assert await redis.xlen(STREAM) == len(KEYS)
