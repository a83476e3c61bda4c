"""X-ray: every line is run as it stands, and neither what is stored nor what is shown differs afterwards."""

import ast
import asyncio
import json
import os
import shlex
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from redis.asyncio import Redis

from backend.clients.daemon import open_redis
from backend.pipelines.v1_direct.aggregator import Aggregator
from backend.pipelines.v2_streams.worker import Worker
from backend.stack.postgres import binary
from coffee_core.clock import to_datetime
from coffee_core.keys import MetricKeys
from coffee_core.order import Order
from coffee_core.pipelines import parse_pipelines
from coffee_core.pipelines.constants import V1, V2, V3, V4, V5
from coffee_core.resources import sql
from coffee_core.settings import Settings
from flink.redis_sink import KEYS as OF_JOB
from tests.integration.backend.api.in_process import LocalApi, in_process
from tests.integration.backend.api.process import KEY, ORDER, Api, running
from tests.integration.backend.pipelines.v4_workers.groups import Groups
from tests.integration.flink.rows import show
from tests.toy_pipeline.projector import project
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


async def _run(step: dict[str, Any], api: LocalApi | Api, redis: "Redis[str]", settings: Settings) -> str:
    """Do what the shell and the tool would; curl's request goes to the API of this test."""
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
        if words[3] == "--quoted-input":
            return str(await redis.execute_command(*map(_unquoted, words[4:])))
        return str(await redis.execute_command(*words[3:]))
    assert words[:4] == ["curl", "-sS", "-X", "POST"]
    headers = dict(word.lower().split(": ", 1) for before, word in pairwise(words) if before == "-H")
    body = words[words.index("-d") + 1]
    pipeline = words[4].removeprefix("$API_URL/api/").removesuffix("/order")
    status, said = await api.order(pipeline, json.loads(body), headers["idempotency-key"])
    assert status < 300, said
    return f"{status} {said['message_id']}"


def _unquoted(argument: str) -> bytes:
    """Return what ``redis-cli --quoted-input`` sends, whose escapes these are: those of Python's bytes."""
    found = ast.literal_eval(f"b{argument}")
    assert isinstance(found, bytes)
    return found


async def _steps(api: LocalApi | Api, pipeline: str, message_id: str) -> list[dict[str, Any]]:
    status, said = await api.get(f"/api/{pipeline}/order/{message_id}/xray")
    assert status == 200, said
    assert "://" not in str(said), "servers are named by the variables that hold their addresses, and passwords"
    return list(said["steps"])


async def _ran(
    api: LocalApi | Api,
    pipeline: str,
    message_id: str,
    redis: "Redis[str]",
    settings: Settings,
    without: tuple[str, ...] = (),
) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    before = await _shown(redis, pipeline)
    for step in await _steps(api, pipeline, message_id):
        if step["what"] in without:
            continue
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


@pytest.fixture
async def of_topics(settings: Settings) -> AsyncIterator[LocalApi]:
    """An API of the pipelines of a topic; no broker is there, and what is read here needs none."""
    elsewhere = replace(settings, given_kafka_servers="127.0.0.1:1", pipelines=(V1, V3, V4))
    async with in_process(elsewhere) as api:
        await until(lambda: api.is_ready("v1"))
        yield api


_WITHOUT_KAFKA = ("request", "record")
_INSERT = """
insert into orders (version, message_id, drink, store, price_cents, ordered_at, accepted_at, source_id)
values ($1, $2, 'latte', 'uptown', 500, $3, $4, $5)
"""
_TIMES_AND_PLACE = "select ordered_at, accepted_at, source_id from orders_v3"


async def test_lines_of_v3_run_and_show_nothing_anew(
    of_topics: LocalApi, redis: "Redis[str]", settings: Settings, database: "asyncpg.Connection[Any]"
) -> None:
    order = Order(UUID(KEY), "latte", "uptown", 500, 1_736_935_200_000_123, 1_736_935_200_012_345)
    # As the job would: its row, whose times come as text, and its totals, a repeat among them.
    times = to_datetime(order.ordered_at_us), to_datetime(order.accepted_at_us)
    await database.execute(_INSERT, "v3", order.message_id, *times, "2:40")
    await redis.set(OF_JOB.epoch, "1")
    await asyncio.to_thread(show, settings.redis_url, [order], 1)
    kept = await redis.hgetall(OF_JOB.counters)
    steps = {step["what"]: step for step in await _steps(of_topics, "v3", KEY)}
    assert json.loads(steps["record"]["line"]) == order.to_fields()
    assert "partition 2, offset 40" in steps["record"]["note"]
    found = await _ran(of_topics, "v3", KEY, redis, settings, _WITHOUT_KAFKA)
    assert found["upsert"] == ["INSERT 0 0\n"]
    assert found["script"] == ["[1, 1]"]
    assert await redis.hgetall(OF_JOB.counters) == kept
    row = await database.fetchrow(_TIMES_AND_PLACE)
    # A line that is run when more has come, here one more repeat, takes nothing back.
    await asyncio.to_thread(show, settings.redis_url, [order], 2)
    assert await _run(steps["script"], of_topics, redis, settings) == "[0, 1]"
    assert await redis.hget(OF_JOB.counters, "duplicates") == "2"
    # Where the row is missing, the statement makes the same one, to the microsecond.
    await database.execute("delete from orders_v3")
    await _run(steps["upsert"], of_topics, redis, settings)
    assert await database.fetchrow(_TIMES_AND_PLACE) == row


async def test_lines_of_v4_run_and_count_nothing_twice(
    of_topics: LocalApi, redis: "Redis[str]", settings: Settings, database: "asyncpg.Connection[Any]"
) -> None:
    orders = [Order(UUID(int=number), "latte", "uptown", 500, 1_000_000, 9_000_001) for number in (7, 2**127 + 34)]
    async with open_redis(settings.redis_url) as client:
        groups = Groups(database, client)
        await groups.count_for_long()
        await groups.worker.positions([0, 1])
        await groups.both(groups.put(1, *orders))
        for order in orders:
            found = await _ran(of_topics, "v4", str(order.message_id), redis, settings, _WITHOUT_KAFKA)
            assert found["store"][0].endswith("UPDATE 0\nINSERT 0 0\n")
            assert "| t   | t    | f" in found["read back"][0]
            assert found["script"] == ["[1, 0, 0, '1', '2']"]
            assert found["key"][0] == "2"
        assert not any((await groups.drift()).hashes[0].values())
        # The lines are the groups' own: after a replay, from the beginning, each does its part once.
        steps = await _steps(of_topics, "v4", str(orders[0].message_id))
        await database.execute("delete from orders_v4")
        await database.execute("update orders_v4_offsets set next_offset = 0")
        await client.flushdb()
        lines = {step["what"]: step for step in steps}
        assert (await _run(lines["store"], of_topics, redis, settings)).endswith("UPDATE 1\nINSERT 0 1\n")
        # 0: whoever begins anew is reconciled once.
        assert await _run(lines["script"], of_topics, redis, settings) == "[0, 1, 0]"
        assert await _shown(redis, "v4") == [
            "1",
            {"latte": "1"},
            {"latte": "500"},
            {"uptown": "1"},
            {"uptown": "500"},
        ]


async def test_a_row_of_somebody_else_has_no_record(
    of_topics: LocalApi, redis: "Redis[str]", settings: Settings, database: "asyncpg.Connection[Any]"
) -> None:
    for pipeline in ("v3", "v4"):
        await database.execute(_INSERT, pipeline, UUID(KEY), to_datetime(1), to_datetime(2), "by hand")
        assert [step["what"] for step in await _steps(of_topics, pipeline, KEY)] == [
            "request",
            "row",
            *["key"] * 6,
        ]


async def test_lines_of_a_pipeline_that_says_nothing_about_them(
    tmp_path: Path, redis: "Redis[str]", settings: Settings, database: "asyncpg.Connection[Any]"
) -> None:
    await database.execute(sql("tests.toy_pipeline", "partition"))
    own = {"COFFEE_PIPELINE_PACKAGES": "tests.toy_pipeline", "COFFEE_PIPELINES": "toy"}
    servers = {"DATABASE_URL": settings.database_url, "REDIS_URL": settings.redis_url}
    async with running(tmp_path, **own, **servers) as api, open_redis(settings.redis_url) as client:
        await until(lambda: api.is_ready("toy"))
        _, said = await api.order("toy", ORDER)
        await project(database, client)
        found = await _ran(api, "toy", said["message_id"], redis, settings)
    assert list(found) == ["request", "row", "key"]
    assert found["request"] == [f"201 {said['message_id']}"]
    assert found["key"][:2] == ["1", "500"]


@pytest.mark.parametrize("pipeline", [V1, V2, V5])
async def test_of_an_unknown_order_there_is_nothing(three: LocalApi, pipeline: str) -> None:
    status, problem = await three.get(f"/api/{pipeline}/order/{KEY}/xray")
    assert (status, problem["type"]) == (404, "/problems/not-found")
    status, problem = await three.get(f"/api/{pipeline}/order/none/xray")
    assert (status, problem["type"]) == (422, "/problems/invalid-field")


async def test_an_order_that_waits_has_no_steps_yet(three: LocalApi) -> None:
    _, said = await three.order("v2")
    assert await _steps(three, "v2", said["message_id"]) == []
