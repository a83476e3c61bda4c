"""Batches of v1 and v2: all of them or none, once."""

import asyncio
import json
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from redis.asyncio import Redis

from coffee_core.keys import STREAM
from coffee_core.order import Order
from tests.integration.backend.api.in_process import LocalApi
from tests.integration.backend.api.process import KEY, ORDER, OTHER, taken
from tests.integration.backend.api.test_v1 import BLOCK, WAITING
from tests.waiting import until


def _keys(first: int, count: int) -> list[str]:
    return [f"0190f5fe-7c1e-7abc-8def-{number:012x}" for number in range(first, first + count)]


def _body(keys: list[str], order: dict[str, Any] = ORDER) -> bytes:
    return json.dumps([{**order, "message_id": key} for key in keys]).encode()


async def _count(pipeline: str, database: "asyncpg.Connection[Any]", redis: "Redis[str]") -> int:
    if pipeline == "v2":
        return int(await redis.xlen(STREAM))
    return int(await database.fetchval("SELECT count(*) FROM orders_v1"))


@pytest.mark.parametrize("pipeline", ["v1", "v2"])
async def test_a_batch_is_taken_once(
    api: LocalApi, database: "asyncpg.Connection[Any]", redis: "Redis[str]", pipeline: str
) -> None:
    keys = _keys(0, 1000)
    status, said = await api.batch(pipeline, _body(keys))
    good = [taken(pipeline, key) for key in keys]
    assert status == good[0][0]
    assert said == {"orders": [each for _, each in good]}
    assert await api.batch(pipeline, _body(keys)) == (status, said)
    assert await _count(pipeline, database, redis) == 1000
    assert (await api.get("/api/lab"))[1]["answers"][pipeline] == {str(status): 2000}
    assert await api.order(pipeline, key=keys[7]) == taken(pipeline, keys[7])
    assert await _count(pipeline, database, redis) == 1000


@pytest.mark.parametrize("pipeline", ["v1", "v2"])
async def test_one_conflict_refuses_all(
    api: LocalApi, database: "asyncpg.Connection[Any]", redis: "Redis[str]", pipeline: str
) -> None:
    await api.order(pipeline, OTHER, KEY)
    status, problem = await api.batch(pipeline, _body([*_keys(0, 50), KEY, *_keys(50, 50)]))
    assert (status, problem["type"], problem["field"]) == (422, "/problems/key-conflict", "message_id")
    assert KEY in problem["detail"]
    assert await _count(pipeline, database, redis) == 1


async def test_lines_without_keys_are_entries(api: LocalApi, redis: "Redis[str]") -> None:
    lines = "\n".join(json.dumps({**ORDER, "price": price}) for price in (1, 2.5, 3)).encode()
    status, said = await api.batch("v2", lines, "application/x-ndjson")
    assert status == 202
    entries = [Order.from_fields(fields) for _, fields in await redis.xrange(STREAM)]
    assert [entry.price_cents for entry in entries] == [100, 250, 300]
    assert [str(entry.message_id) for entry in entries] == [each["message_id"] for each in said["orders"]]
    assert await redis.keys("*idempotency*") == []


async def test_a_stream_that_redis_refuses_leaves_every_key_free(api: LocalApi, redis: "Redis[str]") -> None:
    await redis.set(STREAM, "no stream")
    status, problem = await api.batch("v2", _body(_keys(0, 10)))
    assert (status, problem["type"]) == (503, "/problems/unavailable")
    assert await redis.keys("*idempotency*") == []


async def test_batches_with_common_keys_do_not_wait_for_each_other_for_ever(
    api: LocalApi, twin: LocalApi, database: "asyncpg.Connection[Any]"
) -> None:
    for first in range(0, 3000, 300):
        keys = _keys(first, 300)
        there, back = await asyncio.gather(api.batch("v1", _body(keys)), twin.batch("v1", _body(keys[::-1])))
        assert (there[0], back[0]) == (201, 201)
    assert await database.fetchval("SELECT count(*) FROM orders") == 3000


@pytest.mark.parametrize("pipeline", ["v1", "v2"])
async def test_two_apis_are_as_one(
    api: LocalApi, twin: LocalApi, database: "asyncpg.Connection[Any]", redis: "Redis[str]", pipeline: str
) -> None:
    assert await api.order(pipeline, key=KEY) == await twin.order(pipeline, key=KEY) == taken(pipeline, KEY)
    assert (await twin.order(pipeline, OTHER, KEY))[0] == 422
    for key in _keys(0, 20):
        answers = await asyncio.gather(*(each.order(pipeline, key=key) for each in (api, twin)))
        assert answers == [taken(pipeline, key)] * 2
    assert await _count(pipeline, database, redis) == 21


async def test_a_key_in_flight_is_a_conflict_of_its_own(
    api: LocalApi, database: "asyncpg.Connection[Any]"
) -> None:
    async with database.transaction():
        await database.execute(BLOCK, UUID(KEY))
        asking = asyncio.create_task(api.order("v1", key=KEY))
        await until(lambda: database.fetchval(WAITING))
        for status, problem in (await api.order("v1", key=KEY), await api.batch("v1", _body([KEY]))):
            assert (status, problem["type"]) == (409, "/problems/key-in-flight")
    assert await asking == taken("v1", KEY)
    assert (await api.batch("v1", _body([KEY])))[0] == 201


async def test_a_batch_that_is_broken_off_before_its_commit_is_nowhere(
    api: LocalApi, database: "asyncpg.Connection[Any]"
) -> None:
    async with database.transaction():
        await database.execute(BLOCK, UUID(KEY))
        asking = asyncio.create_task(api.batch("v1", _body([*_keys(0, 5), KEY])))
        await until(lambda: database.fetchval(WAITING))
        await database.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'coffee-api' AND wait_event_type = 'Lock'"
        )
        status, problem = await asking
        assert (status, problem["type"]) == (503, "/problems/unavailable")
    assert await database.fetchval("SELECT count(*) FROM orders") == 1
