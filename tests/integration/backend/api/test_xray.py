"""X-ray: every line is run as it stands, and neither what is stored nor what is shown differs afterwards."""

import asyncio
import os
import shlex
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import asyncpg
import pytest
from redis.asyncio import Redis

from backend.clients.daemon import open_redis
from backend.pipelines.v1_direct.aggregator import Aggregator
from backend.pipelines.v2_streams.worker import Worker
from backend.stack.postgres import binary
from coffee_core.keys import MetricKeys
from coffee_core.pipelines import parse_pipelines
from coffee_core.pipelines.constants import V1, V2, V5
from coffee_core.settings import Settings
from tests.integration.backend.api.in_process import LocalApi, in_process
from tests.integration.backend.api.process import KEY
from tests.unit.backend.api.asgi import ask
from tests.waiting import until


@pytest.fixture
async def three(settings: Settings) -> AsyncIterator[LocalApi]:
    async with in_process(replace(settings, pipelines=parse_pipelines("v1,v2,v5"))) as api:
        for pipeline in ("v1", "v2", "v5"):
            await until(lambda pipeline=pipeline: api.is_ready(pipeline))
        yield api


async def _shown(redis: "Redis[str]", pipeline: str) -> list[Any]:
    keys = MetricKeys(pipeline)
    return [await redis.get(keys.total_orders), *[await redis.hgetall(key) for key in keys.hashes]]


async def _run(step: dict[str, Any], api: LocalApi, redis: "Redis[str]", settings: Settings) -> str:
    """Do what the shell and the tool would; curl's request goes to the API of this process."""
    words = shlex.split(step["line"])
    if step["tool"] == "psql":
        assert words[:3] == ["psql", "$DATABASE_URL", "-c"]
        environ = {**os.environ, "DATABASE_URL": settings.database_url}
        line = step["line"].replace("psql", shlex.quote(str(binary("psql"))), 1) + " -v ON_ERROR_STOP=1"
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_shell(line, env=environ, stdout=pipe, stderr=pipe)
        out, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()
        return out.decode()
    if step["tool"] == "redis-cli":
        assert words[:3] == ["redis-cli", "-u", "$REDIS_URL"]
        return str(await redis.execute_command(*words[3:]))
    assert words[:4] == ["curl", "-sS", "-X", "POST"]
    headers = dict(word.lower().split(": ", 1) for before, word in pairwise(words) if before == "-H")
    body = words[words.index("-d") + 1]
    path = words[4].removeprefix("$API_URL")
    answer = await ask(api.app, path, body.encode(), headers.items())
    assert answer.status < 300, answer.body
    return f"{answer.status} {answer.json['message_id']}"


async def _steps(api: LocalApi, pipeline: str, message_id: str) -> list[dict[str, Any]]:
    status, said = await api.get(f"/api/{pipeline}/order/{message_id}/xray")
    assert status == 200, said
    assert "://" not in str(said), "servers are named by the variables that hold their addresses, and passwords"
    return list(said["steps"])


async def _ran(
    api: LocalApi, pipeline: str, message_id: str, redis: "Redis[str]", settings: Settings
) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    before = await _shown(redis, pipeline)
    for step in await _steps(api, pipeline, message_id):
        found.setdefault(step["what"], []).append(await _run(step, api, redis, settings))
    assert await _shown(redis, pipeline) == before
    assert message_id in found["row"][0] or "(1 row)" in found["row"][0]
    assert len(found["key"]) == 6
    return found


async def test_lines_of_v1_run_and_change_nothing(
    three: LocalApi, redis: "Redis[str]", settings: Settings, database: "asyncpg.Connection[Any]"
) -> None:
    _, said = await three.order("v1")
    async with open_redis(settings.redis_url) as client:
        assert await Aggregator(database, client).run(0)
    found = await _ran(three, "v1", said["message_id"], redis, settings)
    assert found["request"] == [f"201 {said['message_id']}"]
    assert found["insert"] == ["INSERT 0 0\n"]
    assert "snapshot" in found["run"][0]
    assert found["script"] == ["0"]
    assert found["key"][0] == "1"
    assert await database.fetchval("select count(*) from orders_v1") == 1


async def test_lines_of_v2_run_and_count_nothing_twice(
    three: LocalApi, redis: "Redis[str]", settings: Settings, database: "asyncpg.Connection[Any]"
) -> None:
    async with open_redis(settings.redis_url) as client:
        worker = Worker(database, client, "one", 100)
        await worker.start()
        _, said = await three.order("v2", key=KEY)
        await worker.step()
        assert await redis.get(MetricKeys(V2).total_orders) == "1"
        found = await _ran(three, "v2", said["message_id"], redis, settings)
        assert found["request"] == [f"202 {said['message_id']}"]
        assert found["insert"] == ["INSERT 0 0\n"]
        assert " t     | t   | t" in found["read back"][0]
        assert found["script"] == ["[0, 0, 1]"]
        await worker.step()
        await until(lambda: _counter(redis, "duplicates", 1))
    assert await redis.get(MetricKeys(V2).total_orders) == "1"
    assert await database.fetchval("select count(*) from orders_v2") == 1


async def _counter(redis: "Redis[str]", name: str, wanted: int) -> bool:
    return await redis.hget(MetricKeys(V2).counters, name) == str(wanted)  # type: ignore[misc]


async def test_lines_of_v5_run_and_add_nothing(
    three: LocalApi, redis: "Redis[str]", settings: Settings, database: "asyncpg.Connection[Any]"
) -> None:
    _, said = await three.order("v5")
    found = await _ran(three, "v5", said["message_id"], redis, settings)
    assert found["request"] == [f"201 {said['message_id']}"]
    assert "(1 row)" in found["insert"][0]
    assert await database.fetchval("select sum(orders) from v5_totals where drink = '' and store = ''") == 1


@pytest.mark.parametrize("pipeline", [V1, V2, V5])
async def test_of_an_unknown_order_there_is_nothing(three: LocalApi, pipeline: str) -> None:
    status, problem = await three.get(f"/api/{pipeline}/order/{KEY}/xray")
    assert (status, problem["type"]) == (404, "/problems/not-found")
    status, problem = await three.get(f"/api/{pipeline}/order/none/xray")
    assert (status, problem["type"]) == (422, "/problems/invalid-field")


async def test_an_order_that_waits_has_no_steps_yet(three: LocalApi) -> None:
    _, said = await three.order("v2")
    assert await _steps(three, "v2", said["message_id"]) == []
