"""The live audit (`accounts` of GET /api/lab), on real servers."""

import os
from typing import Any

import asyncpg
from redis.asyncio import Redis

from coffee_core.keys import MetricKeys
from coffee_core.pipelines.constants import V1
from coffee_core.runstate import PartState, State, write_state
from coffee_core.settings import Settings
from tests.integration.backend.api.in_process import LocalApi
from tests.waiting import until


async def _counts(api: LocalApi, pipeline: str) -> dict[str, Any]:
    said = (await api.get("/api/lab"))[1]
    found: dict[str, Any] = said["accounts"].get(pipeline, {})
    return found


async def test_rows_that_are_not_shown_are_in_flight(api: LocalApi) -> None:
    await api.order("v1")
    found = await until(lambda: _counts(api, "v1"))
    assert (found["accepted"], found["stored"], found["shown"], found["in_flight"]) == (1, 1, 0, 1)
    assert (found["lost"], found["duplicated"], found["drift"]) == (0, 0, 0)


async def test_an_entry_waits_in_the_stream(api: LocalApi) -> None:
    await api.order("v2")
    found = await until(lambda: _counts(api, "v2"))
    assert (found["accepted"], found["stored"], found["in_flight"], found["lost"]) == (1, 0, 1, 0)


async def test_a_row_that_is_gone_is_lost(
    api: LocalApi, database: "asyncpg.Connection[Any]", redis: "Redis[str]"
) -> None:
    await api.order("v1")
    await redis.set(MetricKeys(V1).total_orders, 1)
    await until(lambda: _counts(api, "v1"))
    await database.execute("delete from orders")

    async def lost() -> bool:
        return bool((await _counts(api, "v1")).get("lost") == 1)

    await until(lost, within_s=30)


async def test_counts_that_get_old_say_their_age(api: LocalApi, database: "asyncpg.Connection[Any]") -> None:
    assert (await api.get("/api/lab"))[1]["accounts_age_s"] is None, "nothing is counted yet"
    await until(lambda: _counts(api, "v1"))

    async def old() -> bool:
        said = (await api.get("/api/lab"))[1]
        return bool(said["accounts"]) and said["accounts_age_s"] > 2

    async with database.transaction():
        # A round that waits for the rows leaves the counts of the one before.
        await database.execute("lock table orders in access exclusive mode")
        await until(old)


async def test_a_key_that_is_no_number_is_said(api: LocalApi, redis: "Redis[str]") -> None:
    await redis.set(MetricKeys(V1).total_orders, "many")

    async def trouble() -> bool:
        return "no whole number" in (await api.get("/api/lab"))[1]["accounts_trouble"]

    await until(trouble)


async def test_a_part_costs_what_its_process_does(api: LocalApi, settings: Settings) -> None:
    write_state(settings.home, PartState("redis", os.getpid(), None, State.UP, wrapper_pid=os.getpid()))
    write_state(settings.home, PartState("kafka", None, None, State.EXTERNAL, wrapper_pid=os.getpid()))

    async def costs() -> dict[str, Any]:
        found: dict[str, Any] = (await api.get("/api/lab"))[1]["costs"]
        return found if found["redis"]["cores"] is not None else {}

    found = await until(costs)
    assert list(found) == ["redis"]
    assert found["redis"]["memory_bytes"] > 10_000_000
    assert 0 <= found["redis"]["cores"] < 64
