"""One run of the aggregator as a process of its own."""

import asyncio
import os
import sys
from pathlib import Path

from redis.asyncio import Redis

from backend.clients.daemon import Database
from backend.pipelines.v1_direct.fence import METRICS
from tests.integration.backend.pipelines.v1_direct.test_run import place
from tests.integration.shown import shown, stored


async def once(home: Path, database_url: str, redis_url: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "backend.pipelines.v1_direct.aggregator", "--once"),
        env={**os.environ, "COFFEE_HOME": str(home), "DATABASE_URL": database_url, "REDIS_URL": redis_url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode, output.decode()


async def test_one_run_shows_what_is_stored(
    tmp_path: Path, database_url: str, redis_url: str, connection: Database, client: Redis
) -> None:
    await place(connection, 30)
    code, output = await once(tmp_path, database_url, redis_url)
    assert (code, output.startswith("v1's metrics are written")) == (0, True)
    assert await shown(client, METRICS) == await stored(connection, "v1")


async def test_without_a_server_it_says_so_in_one_line(tmp_path: Path, redis_url: str) -> None:
    code, output = await once(tmp_path, "postgresql://coffee@127.0.0.1:1/coffee", redis_url)
    assert code == 1
    assert output.startswith("cannot aggregate: ")
    assert output.count("\n") == 1
