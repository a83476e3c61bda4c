"""The windows of v1 and v3 over HTTP: one question, one shape, the same answer."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import asyncpg
import pytest
from redis.asyncio import Redis

from backend.pipelines.windows import ON_ITS_WAY_S
from coffee_core.clock import now_us, to_datetime
from coffee_core.keys import MetricKeys
from coffee_core.pipelines import parse_pipelines
from coffee_core.pipelines.constants import V3
from coffee_core.settings import Settings
from coffee_core.windows import LATE_AFTER_S, WINDOW_S, starts
from flink.redis_sink import BEHIND_S
from tests.integration.backend.api.in_process import LocalApi, in_process
from tests.integration.backend.api.process import ORDER
from tests.integration.backend.pipelines.v2_streams.bench import mixed
from tests.integration.flink.rows import show
from tests.waiting import until

INSERT = """
    insert into orders (version, message_id, drink, store, price_cents, ordered_at, accepted_at, source_id)
    values ('v1', $1, $2, $3, $4, $5, $6, '')
"""
MINUTE = WINDOW_S * 1_000_000


@pytest.fixture
async def all_three(settings: Settings) -> AsyncIterator[LocalApi]:
    """An API of all pipelines; its broker is away, which no question about windows minds."""
    away = replace(settings, pipelines=parse_pipelines("v1,v2,v3"), given_kafka_servers="127.0.0.1:9")
    async with in_process(away) as api:
        await until(lambda: api.is_ready("v1"))
        await until(lambda: api.is_ready("v2"))
        yield api


async def test_v1_and_v3_answer_alike(
    all_three: LocalApi, database: "asyncpg.Connection[Any]", redis: Redis, redis_url: str
) -> None:
    now = now_us()
    orders = [
        replace(order, ordered_at_us=now - back * MINUTE - lag_us, accepted_at_us=now - back * MINUTE)
        for order, (back, lag_us) in zip(
            mixed(7),
            ((0, 0), (0, 5), (1, 20_000_000), (2, -MINUTE), (3, 5 * MINUTE), (9, 0), (30, 0)),
            strict=True,
        )
    ]
    for each in orders:
        times = (to_datetime(each.ordered_at_us), to_datetime(each.accepted_at_us))
        await database.execute(INSERT, each.message_id, each.drink, each.store, each.price_cents, *times)
    await redis.set(MetricKeys(V3).epoch, "1")
    show(redis_url, orders)
    (v1_status, v1), (v3_status, v3) = [
        await all_three.get(f"/api/{each}/windows?minutes=15") for each in ("v1", "v3")
    ]
    assert (v1_status, v3_status) == (200, 200)
    assert v1["late"] == v3["late"]
    assert v1["late"]["orders"] == 1
    sums = [
        {each["start_us"]: {name: each[name] for name in each if name != "final"} for each in said["windows"]}
        for said in (v1, v3)
    ]
    both = sums[0].keys() & sums[1].keys()
    assert len(both) >= 14
    assert [sums[0][start] for start in both] == [sums[1][start] for start in both]
    assert sum(each["orders"] for each in sums[0].values()) == 5
    # An order dated a minute later than it was accepted belongs where it was accepted.
    assert sums[0][starts(orders[3].accepted_at_us, 1)[0] * 1_000_000]["orders"] >= 1
    assert v3["watermark_us"] == (now - BEHIND_S * 1_000_000) // 1_000 * 1_000
    assert v1["watermark_us"] == v1["time_us"] - (LATE_AFTER_S + ON_ITS_WAY_S) * 1_000_000
    assert [each["final"] for each in v3["windows"]] == [
        each["start_us"] + MINUTE <= v3["watermark_us"] for each in v3["windows"]
    ]
    assert v3["windows"][0]["final"]
    assert not v3["windows"][-1]["final"]


async def test_an_order_of_the_founding_note_is_late(api: LocalApi) -> None:
    assert (await api.order("v1", ORDER))[0] == 201
    _, said = await api.get("/api/v1/windows")
    assert len(said["windows"]) == 10
    assert [each["orders"] for each in said["windows"]] == [0] * 10
    assert (said["late"]["orders"], said["late"]["revenue_cents"]) == (1, 500)


async def test_v3_says_what_it_does_not_know(all_three: LocalApi, redis: Redis) -> None:
    status, said = await all_three.get("/api/v3/windows")
    assert (status, said["watermark_us"], said["late"]["orders"]) == (200, None, 0)
    assert not any(each["final"] or each["orders"] for each in said["windows"])
    await redis.hset(MetricKeys(V3).late, "uptown:orders", "many")  # type: ignore[misc]
    status, problem = await all_three.get("/api/v3/windows")
    assert (status, problem["type"]) == (503, "/problems/unavailable")


async def test_v2_says_that_it_has_none(api: LocalApi) -> None:
    status, problem = await api.get("/api/v2/windows")
    assert (status, problem["type"]) == (404, "/problems/no-windows")


async def test_a_pipeline_that_does_not_run_is_told_apart(api: LocalApi) -> None:
    status, problem = await api.get("/api/v3/windows")
    assert (status, problem["type"]) == (404, "/problems/pipeline-not-running")


@pytest.mark.parametrize("minutes", ["0", "61", "-1", "ten", "", "1.5", "1e1", "%D9%A1"])
async def test_other_spans_are_refused(api: LocalApi, minutes: str) -> None:
    status, problem = await api.get(f"/api/v1/windows?minutes={minutes}")
    assert (status, problem["type"], problem["field"]) == (422, "/problems/invalid-field", "minutes")
