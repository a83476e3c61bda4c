"""What an order's status says, step by step, with the real worker and the real aggregator behind it."""

from typing import Any

import asyncpg
import pytest
from redis.asyncio import Redis

from backend.pipelines.v1_direct.aggregator import Aggregator
from backend.pipelines.v2_streams.worker import Worker
from coffee_core.clock import now_us
from coffee_core.keys import STREAM, MetricKeys
from coffee_core.pipelines.constants import V1
from tests.integration.backend.api.in_process import LocalApi
from tests.integration.backend.api.process import KEY
from tests.waiting import until


async def _ask(api: LocalApi, path: str) -> tuple[bool | None, bool | None]:
    """Return stored and shown; a row has both of its times, what is no row has neither."""
    status, said = await api.get(path)
    assert (status, said["message_id"], said["accepted"]) == (200, path.rpartition("/")[2], True)
    if said["stored"]:
        assert now_us() - 3_600_000_000 < said["accepted_us"] <= said["stored_us"] <= now_us()
    else:
        assert (said["accepted_us"], said["stored_us"]) == (None, None)
    return said["stored"], said["shown"]


async def test_v1_is_shown_by_the_next_run(
    api: LocalApi, database: "asyncpg.Connection[Any]", redis: "Redis[str]"
) -> None:
    _, taken = await api.order("v1")
    path = taken["links"]["status"]
    assert await _ask(api, path) == (True, False)
    aggregator = Aggregator(database, redis)
    assert await aggregator.run(next_run_us=0)
    assert await _ask(api, path) == (True, True)
    _, later = await api.order("v1")
    assert await _ask(api, later["links"]["status"]) == (True, False)
    await redis.delete(*MetricKeys(V1).metrics)
    assert await _ask(api, path) == (True, False)


@pytest.mark.parametrize("key", [KEY, ""])
async def test_v2_is_stored_and_shown_by_the_worker(
    api: LocalApi, database: "asyncpg.Connection[Any]", redis: "Redis[str]", key: str
) -> None:
    _, taken = await api.order("v2", key=key)
    path = taken["links"]["status"]
    assert await _ask(api, path) == (False, False)
    [(entry_id, fields)] = await redis.xrange(STREAM)
    worker = Worker(database, redis, "test", 100)
    await worker.start()
    await worker.step()
    await until(lambda: _is_empty(redis))
    assert await _ask(api, path) == (True, True)
    # A row whose entry is still there was stored by a worker that has not come to count it yet.
    await redis.delete(STREAM)
    await redis.xadd(STREAM, fields, id=entry_id)
    assert await _ask(api, path) == (True, False)


async def _is_empty(redis: "Redis[str]") -> bool:
    return await redis.xlen(STREAM) == 0


async def test_v2_says_what_it_knows_without_a_table_which_no_idle_connection_locks(
    api: LocalApi, database: "asyncpg.Connection[Any]"
) -> None:
    _, taken = await api.order("v2", key=KEY)
    await database.execute("DROP TABLE orders")
    assert await _ask(api, taken["links"]["status"]) == (None, None)
    status, problem = await api.get(f"/api/v2/order/{KEY.replace('0190', '0191')}")
    assert (status, problem["type"]) == (503, "/problems/unavailable")


@pytest.mark.parametrize("pipeline", ["v1", "v2"])
async def test_an_order_that_nobody_placed_is_not_found(api: LocalApi, pipeline: str) -> None:
    status, problem = await api.get(f"/api/{pipeline}/order/{KEY}")
    assert (status, problem["type"]) == (404, "/problems/not-found")
    assert KEY in problem["detail"]


async def test_what_is_no_message_id_is_refused(api: LocalApi) -> None:
    status, problem = await api.get("/api/v2/order/latte")
    assert (status, problem["field"]) == (422, "message_id")


async def test_a_redis_that_takes_no_writes_is_not_ready_and_can_be_asked(
    api: LocalApi, redis: "Redis[str]"
) -> None:
    await api.order("v2", key=KEY)
    await redis.config_set("maxmemory", "1")
    try:
        await until(lambda: _is_not_ready(api))
        assert "OOM" in (await api.get("/readyz"))[1]["dependencies"]["redis"]["detail"]
        assert (await api.order("v2"))[0] == 503
        assert (await api.get(f"/api/v2/order/{KEY}"))[0] == 200
    finally:
        await redis.config_set("maxmemory", "0")
    await until(lambda: api.is_ready("v2"))


async def _is_not_ready(api: LocalApi) -> bool:
    return not await api.is_ready("v2")
