"""v2: a 202 is a stream entry, once under its key."""

import asyncio

from redis.asyncio import Redis

from coffee_core.keys import STREAM, STREAM_GROUP, MetricKeys
from coffee_core.order import Order
from coffee_core.pipelines.constants import V2
from tests.integration.backend.api.in_process import LocalApi
from tests.integration.backend.api.process import KEY, ORDER, OTHER, taken

REMEMBERED = MetricKeys(V2).idempotency(KEY)


async def test_an_accepted_order_is_an_entry(api: LocalApi, redis: "Redis[str]") -> None:
    status, said = await api.order("v2")
    assert (status, said["status"]) == (202, "accepted")
    [(_, fields)] = await redis.xrange(STREAM)
    order = Order.from_fields(fields)
    assert str(order.message_id) == said["message_id"]
    assert order.content == "latte|uptown|500|1736935200000000"
    assert list(fields) == list(order.to_fields())
    assert await redis.keys("*idempotency*") == [], "nobody can repeat a key that the API made"


async def test_a_repeat_gets_the_first_answer_and_no_entry(api: LocalApi, redis: "Redis[str]") -> None:
    first = await api.order("v2", key=KEY)
    assert first == taken("v2", KEY)
    assert await api.order("v2", key=KEY) == first
    assert await redis.xlen(STREAM) == 1
    assert 86_399_000 - 60_000 < await redis.pttl(REMEMBERED) <= 86_400_000


async def test_a_key_of_another_order_is_refused(api: LocalApi, redis: "Redis[str]") -> None:
    await api.order("v2", key=KEY)
    status, problem = await api.order("v2", OTHER, KEY)
    assert (status, problem["type"]) == (422, "/problems/key-conflict")
    assert await redis.xlen(STREAM) == 1


async def test_fifty_at_once_under_one_key_are_one_entry(api: LocalApi, redis: "Redis[str]") -> None:
    answers = await asyncio.gather(*(api.order("v2", key=KEY) for _ in range(50)))
    assert sorted({status for status, _ in answers}) == [202, 409]
    assert await api.order("v2", key=KEY) == taken("v2", KEY)
    assert await redis.xlen(STREAM) == 1


async def test_a_forgotten_script_is_taught_again(api: LocalApi, redis: "Redis[str]") -> None:
    await api.order("v2", key=KEY)
    await redis.script_flush()
    assert (await api.order("v2", key=KEY.replace("0190", "0191")))[0] == 202
    assert await redis.xlen(STREAM) == 2


async def test_what_redis_refuses_went_nowhere_and_leaves_its_key_free(api: LocalApi, redis: "Redis[str]") -> None:
    await redis.set(STREAM, "no stream")
    for key in (KEY, ""):
        status, problem = await api.order("v2", key=key)
        assert (status, problem["type"]) == (503, "/problems/unavailable")
    assert await redis.exists(REMEMBERED) == 0
    await redis.delete(STREAM)
    assert (await api.order("v2", OTHER, KEY))[0] == 202
    assert await redis.xlen(STREAM) == 1


async def test_nothing_is_added_of_what_is_refused(api: LocalApi, redis: "Redis[str]") -> None:
    for bad in ({"drink": "tea"}, {"price": -1}, {"timestamp": "2025-01-15T10:00:00"}, {"size": 1}):
        assert (await api.order("v2", {**ORDER, **bad}, KEY))[0] == 422
    assert await redis.keys("*") == []


async def test_its_lag_is_what_none_has_read_and_what_each_has_in_hand(api: LocalApi, redis: "Redis[str]") -> None:
    for orders in (0, 5):
        for _ in range(orders):
            await api.order("v2")
        _, said = await api.get("/api/v2/lag")
        assert said["lags"] == [], "before the first worker there is no group"
    await redis.xgroup_create(STREAM, STREAM_GROUP, "0")
    await redis.xreadgroup(STREAM_GROUP, "one", {STREAM: ">"}, count=2)
    status, said = await api.get("/api/v2/lag")
    assert status == 200
    rows = [(row["partition"], row["consumer"], row["waiting"], row["note"]) for row in said["lags"]]
    assert rows == [(STREAM, "", 3, "not read yet"), (STREAM, "one", 2, rows[1][3])]
    assert rows[1][3].startswith("in hand")
    # A group that was set on: how many it has passed over is not known to Redis.
    await redis.xgroup_setid(STREAM, STREAM_GROUP, (await redis.xrange(STREAM))[3][0])
    _, said = await api.get("/api/v2/lag")
    assert said["lags"][0]["waiting"] is None
