"""Orders that are accepted and wait are named, with the reason and the cure, by every view of the API."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from redis.asyncio import Redis

from backend.api import standstill as api_standstill
from backend.pipelines import standstill
from backend.pipelines.v1_direct.aggregator import Aggregator
from backend.pipelines.v2_streams.worker import Worker
from coffee_core.clock import now_us
from coffee_core.keys import STREAM, STREAM_GROUP, MetricKeys
from coffee_core.pipelines.constants import V1, V2
from coffee_core.runstate import PartState, State, write_state
from coffee_core.settings import Settings
from coffee_core.standstill import Standstill
from tests.database import connected
from tests.integration.backend.api.in_process import LocalApi
from tests.waiting import until

Named = dict[str, Any]
WHY = Standstill("PostgreSQL: role is not permitted to log in", "mend it")


@pytest.fixture(autouse=True)
def _believed_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What must have stood for seconds is believed at the next look."""
    monkeypatch.setattr(standstill, "STOOD_S", 0.0)
    monkeypatch.setattr(standstill, "REPORTED_S", 0.0)
    monkeypatch.setattr(standstill, "UNEXPLAINED_S", 0.0)
    monkeypatch.setattr(api_standstill, "INTERVAL_S", 0.1)
    monkeypatch.setattr(api_standstill, "_COUNT_AFTER_S", 0.0)


async def _standing(api: LocalApi, pipeline: str) -> Named | None:
    status, one = await api.get(f"/readyz/{pipeline}")
    assert status == 200, "orders are still taken"
    found: Named | None = one["standstill"]
    return found


def _named(api: LocalApi, pipeline: str, words: str) -> Callable[[], Awaitable[Named | None]]:
    async def ask() -> Named | None:
        found = await _standing(api, pipeline)
        return found if found is not None and words in found["reason"] else None

    return ask


def _works(api: LocalApi, pipeline: str) -> Callable[[], Awaitable[bool]]:
    async def ask() -> bool:
        return await _standing(api, pipeline) is None

    return ask


async def _looked(api: LocalApi, redis: "Redis[str]", pipeline: str) -> None:
    """Return when the API has looked at a pipeline at least once more."""
    keys = MetricKeys(pipeline)
    await redis.set(keys.standstill, WHY.to_json(), px=60_000)
    await until(_named(api, pipeline, WHY.reason))
    await redis.delete(keys.standstill)


async def test_a_stream_that_nobody_reads_is_named_everywhere_until_somebody_does(
    api: LocalApi, database: "asyncpg.Connection[Any]", redis: "Redis[str]"
) -> None:
    assert (await api.order("v2"))[0] == 202
    found = await until(_named(api, "v2", "1 order waits on orders:stream, which has no consumer group"))
    assert found is not None
    assert "start stream-worker" in found["cure"]
    assert now_us() - 60_000_000 < found["since_us"] <= now_us()
    _, whole = await api.get("/readyz")
    assert (whole["ready"], whole["pipelines"]["v2"]["standstill"]) == (True, found)
    assert whole["pipelines"]["v1"]["standstill"] is None
    assert (await api.get("/api/lab"))[1]["standstills"] == {"v1": None, "v2": found}
    metrics = await api.text("/metrics")
    assert 'coffee_standstill{pipeline="v2"} 1.0' in metrics
    assert 'coffee_standstill{pipeline="v1"} 0.0' in metrics
    assert 'coffee_standstill_seconds{pipeline="v1"} 0.0' in metrics
    worker = Worker(database, redis, "test", 100)
    await worker.start()
    await until(_named(api, "v2", "no stream-worker reads it"))
    await worker.step()
    await until(_works(api, "v2"))
    assert 'coffee_standstill{pipeline="v2"} 0.0' in await api.text("/metrics")


async def test_a_worker_that_reads_no_more_is_named(
    api: LocalApi, database: "asyncpg.Connection[Any]", redis: "Redis[str]"
) -> None:
    worker = Worker(database, redis, "test", 100)
    await worker.start()
    await api.order("v2")
    await worker.step()
    await api.order("v2")
    await until(_named(api, "v2", "1 order waits on orders:stream and no stream-worker has read for"), 30)
    await worker.step()
    await until(_works(api, "v2"))


async def test_entries_that_nobody_would_be_delivered_are_named_while_others_pass(
    api: LocalApi, redis: "Redis[str]", database: "asyncpg.Connection[Any]"
) -> None:
    worker = Worker(database, redis, "test", 100)
    await worker.start()
    await worker.step()
    worker._claim_due_s = float("inf")  # as a worker of an earlier version
    await api.order("v2")
    await redis.xgroup_setid(STREAM, STREAM_GROUP, "$")
    await api.order("v2")
    await worker.step()
    found = await until(_named(api, "v2", "1 entry of orders:stream would be delivered to nobody"))
    assert found is not None
    assert "coffee replay v2" in found["cure"]
    worker._claim_due_s = 0.0
    await worker.step()
    await until(_works(api, "v2"))


async def test_what_the_worker_reports_comes_before_what_is_seen_from_outside(
    api: LocalApi, redis: "Redis[str]"
) -> None:
    await api.order("v2")
    await redis.set(MetricKeys(V2).standstill, WHY.to_json(), px=60_000)
    found = await until(_named(api, "v2", WHY.reason))
    assert found is not None
    assert found["cure"] == WHY.cure
    await redis.set(MetricKeys(V2).standstill, "no json")
    await until(_named(api, "v2", "v2:lab:standstill holds what no processor writes"))


async def test_one_worker_that_can_do_nothing_beside_one_that_reads_is_none(
    api: LocalApi, redis: "Redis[str]", database: "asyncpg.Connection[Any]"
) -> None:
    worker = Worker(database, redis, "test", 100)
    await worker.start()
    running = asyncio.create_task(_work(worker))
    try:
        await redis.set(MetricKeys(V2).standstill, WHY.to_json(), px=60_000)
        await _looked(api, redis, "v1")
        assert await _standing(api, "v2") is None
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def _work(worker: Worker) -> None:
    while True:
        await worker.step()


async def test_rows_of_v1_wait_for_the_next_run_by_design_and_not_for_longer(
    api: LocalApi, database: "asyncpg.Connection[Any]", redis: "Redis[str]"
) -> None:
    await api.order("v1")
    found = await until(_named(api, "v1", "the aggregator has not run yet"))
    assert found is not None
    assert "cafe-order-aggregator" in found["cure"]
    aggregator = Aggregator(database, redis)
    assert await aggregator.run(now_us() + 60_000_000)
    await until(_works(api, "v1"))
    await api.order("v1")
    await _looked(api, redis, "v1")
    await until(_works(api, "v1"))
    # Overdue, but nothing waits for it: then with an order that does.
    assert await aggregator.run(now_us() - 30_000_000)
    await _looked(api, redis, "v1")
    await until(_works(api, "v1"))
    await api.order("v1")
    await until(_named(api, "v1", "its next run was due"), 20)
    assert await aggregator.run(now_us() + 60_000_000)
    await until(_works(api, "v1"))


async def test_a_lock_on_the_orders_is_named_with_the_session_that_holds_it(
    api: LocalApi, database: "asyncpg.Connection[Any]", database_url: str, redis: "Redis[str]"
) -> None:
    worker = Worker(database, redis, "test", 100)
    await worker.start()
    async with connected(database_url, server_settings={"application_name": "somebody's psql"}) as other:
        async with other.transaction():
            await other.execute("lock table orders_v2 in exclusive mode")
            await api.order("v2")
            stepping = asyncio.create_task(worker.step())
            found = await until(
                _named(api, "v2", "(somebody's psql, idle in transaction) holds a lock on the orders"), 60
            )
            assert found is not None
            assert f"select pg_terminate_backend({other.get_server_pid()})" in found["cure"]
        await stepping
        await until(_works(api, "v2"))


async def test_a_part_that_is_not_up_is_named_unless_the_lab_has_just_been_started(
    api: LocalApi, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def say(state: State, since_us: int) -> None:
        part = PartState("stream-worker", 7, None, state, "no room on the disk", since_us, wrapper_pid=os.getpid())
        write_state(settings.home, part)

    await api.order("v2")
    await until(_named(api, "v2", "1 order waits"))
    say(State.STARTING, now_us())
    await until(_works(api, "v2"))
    monkeypatch.setattr(api_standstill, "FIRST_START_S", 0.0)
    found = await until(_named(api, "v2", "1 order waits"))
    assert found is not None
    assert found["cure"].startswith("stream-worker is starting for ")
    assert found["cure"].endswith(" s (no room on the disk): its log says why")


async def test_a_server_that_is_down_is_named(api: LocalApi, redis: "Redis[str]") -> None:
    await redis.config_set("maxmemory", "1")
    try:

        async def named() -> bool:
            _, whole = await api.get("/readyz")
            found = whole["pipelines"]["v1"]["standstill"]
            return found is not None and found["reason"].startswith("redis is down: OOM")

        await until(named)
    finally:
        await redis.config_set("maxmemory", "0")
    await until(_works(api, "v1"))


async def test_the_real_times_name_a_stream_without_a_worker_within_ten_seconds(
    api: LocalApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    assert standstill.UNEXPLAINED_S + api_standstill.INTERVAL_S < 10
    await api.order("v2")
    await until(_named(api, "v2", "has no consumer group"), 60)
    assert V1 in (await api.get("/readyz"))[1]["pipelines"]
