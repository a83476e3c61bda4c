"""v5: a 201 is a committed row that is in the totals, once, in either way of keeping them."""

import asyncio
import json
from collections import Counter
from dataclasses import replace
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from redis.asyncio import Redis

from backend.api import standstill as api_standstill
from backend.pipelines import standstill
from backend.pipelines.v5_live.projector import Projector, read_kept
from coffee_core.pipelines.constants import V5
from coffee_core.settings import Settings
from tests.integration.backend.api.in_process import LocalApi
from tests.integration.backend.api.process import KEY, ORDER, OTHER, taken
from tests.integration.shown import stored
from tests.waiting import until

MANY = {"grouped": 100, "hot": 25}
"""A quarter of those that go at once: those of "hot" commit one after the other, each within 2 s."""
BLOCK = """
    INSERT INTO orders (version, message_id, drink, store, price_cents, ordered_at, accepted_at, source_id)
    VALUES ('v5', $1, 'latte', 'uptown', 500, '2025-01-15T10:00:00Z', now(), '')
"""


@pytest.fixture(params=["grouped", "hot"])
def settings(settings: Settings, request: pytest.FixtureRequest) -> Settings:
    return replace(settings, pipelines=(V5,), v5_totals=request.param)


async def require_rows(database: "asyncpg.Connection[Any]", orders: int) -> None:
    """Assert that there are so many rows, and that the totals are theirs."""
    kept, rows = await read_kept(database), await stored(database, "v5")
    assert rows.orders == orders
    assert kept.totals == rows
    accepted_us = "SELECT coalesce(sum(extract(epoch from accepted_at) * 1000000), 0)::bigint FROM orders"
    assert kept.accepted_us == await database.fetchval(accepted_us)


async def test_an_accepted_order_is_a_row_and_in_the_totals(
    api: LocalApi, database: "asyncpg.Connection[Any]"
) -> None:
    await require_rows(database, 0)
    status, said = await api.order("v5")
    assert (status, said["status"]) == (201, "stored")
    assert await database.fetchval("SELECT message_id FROM orders") == UUID(said["message_id"])
    await require_rows(database, 1)
    _, found = await api.get(f"/api/v5/order/{said['message_id']}")
    assert (found["stored"], found["shown"]) == (True, False)


async def test_a_commit_notifies(api: LocalApi, database: "asyncpg.Connection[Any]") -> None:
    heard: list[object] = []
    await database.add_listener("v5_totals", lambda *told: heard.append(told))
    for orders in (1, 2):
        await api.order("v5")
        await until(lambda orders=orders: len(heard) >= orders)
    assert (await api.batch("v5", json.dumps([ORDER]).encode()))[0] == 201
    await until(lambda: len(heard) >= 3)
    await database.reset()


async def test_a_repeat_gets_the_first_answer_and_adds_nothing(
    api: LocalApi, database: "asyncpg.Connection[Any]"
) -> None:
    first = await api.order("v5", key=KEY)
    assert first == taken("v5", KEY)
    assert await api.order("v5", key=f'"{KEY.upper()}"') == first
    await require_rows(database, 1)


@pytest.mark.parametrize("change", [{"price": 4.99}, {"drink": "americano"}, {"store": "central"}])
async def test_a_key_of_another_order_is_refused_and_adds_nothing(
    api: LocalApi, database: "asyncpg.Connection[Any]", change: dict[str, object]
) -> None:
    await api.order("v5", key=KEY)
    status, problem = await api.order("v5", {**ORDER, **change}, KEY)
    assert (status, problem["type"], problem["field"]) == (422, "/problems/key-conflict", "Idempotency-Key")
    await require_rows(database, 1)


async def test_of_many_at_once_with_and_without_keys_each_is_counted_once(
    api: LocalApi, twin: LocalApi, database: "asyncpg.Connection[Any]", settings: Settings
) -> None:
    many = MANY[settings.v5_totals]
    keys = [f"0190a2c4-7e1b-7c3d-9f10-{number:012x}" for number in range(many)]
    priced = [{**ORDER, "price": (100 + number) / 100, "drink": "americano"} for number in range(many)]
    apis = (api, twin)
    for _ in range(2):
        answers = await asyncio.gather(
            *(each.order("v5", order, key) for order, key in zip(priced, keys, strict=True) for each in apis),
            *(each.order("v5") for _ in range(many) for each in apis),
        )
        assert Counter(status for status, _ in answers) == {201: 4 * many}
    await require_rows(database, many + 4 * many)


async def test_a_batch_is_counted_whole_or_not_at_all(api: LocalApi, database: "asyncpg.Connection[Any]") -> None:
    batch = [ORDER, {**ORDER, "message_id": KEY}, {**OTHER, "message_id": KEY[:-1] + "c"}]
    for _ in range(2):
        assert (await api.batch("v5", json.dumps(batch).encode()))[0] == 201
    await require_rows(database, 4)
    conflicting = [ORDER, {**ORDER, "price": 4.99, "message_id": KEY}]
    status, problem = await api.batch("v5", json.dumps(conflicting).encode())
    assert (status, problem["type"]) == (422, "/problems/key-conflict")
    await require_rows(database, 4)


async def test_what_postgres_refuses_is_nowhere(api: LocalApi, database: "asyncpg.Connection[Any]") -> None:
    await database.execute("ALTER TABLE v5_totals ADD CONSTRAINT none CHECK (cents < 600) NOT VALID")
    answers = await asyncio.gather(*(api.order("v5", {**ORDER, "price": 7}) for _ in range(10)))
    assert {(status, body["type"]) for status, body in answers} == {(503, "/problems/unavailable")}
    await require_rows(database, 0)
    await database.execute("ALTER TABLE v5_totals DROP CONSTRAINT none")
    assert (await api.order("v5"))[0] == 201
    await require_rows(database, 1)


async def test_a_commit_that_does_not_come_back_is_an_unknown_outcome(
    api: LocalApi, database: "asyncpg.Connection[Any]"
) -> None:
    transaction = database.transaction()
    await transaction.start()
    await database.execute(BLOCK, UUID(KEY))
    status, problem = await api.order("v5", key=KEY)
    assert (status, problem["type"], problem["message_id"]) == (504, "/problems/outcome-unknown", KEY)
    await transaction.rollback()
    assert await api.order("v5", key=KEY) == taken("v5", KEY)
    await require_rows(database, 1)


async def test_its_windows_are_summed_from_the_rows(api: LocalApi) -> None:
    await api.order("v5")
    status, found = await api.get("/api/v5/windows")
    assert status == 200
    assert found["late"]["orders"] == 1


async def test_an_order_is_shown_once_the_projector_has_written_and_named_until_then(
    api: LocalApi, database: "asyncpg.Connection[Any]", redis: "Redis[str]", monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, names in ((standstill, ("STOOD_S", "UNEXPLAINED_S")), (api_standstill, ("_COUNT_AFTER_S",))):
        for name in names:
            monkeypatch.setattr(module, name, 0.0)

    async def standing() -> dict[str, Any] | None:
        found: dict[str, Any] | None = (await api.get("/readyz/v5"))[1]["standstill"]
        return found

    async def works() -> bool:
        return await standing() is None

    _, first = await api.order("v5")
    found = await until(standing)
    assert found is not None
    assert "live-projector" in found["reason"]
    await Projector(database, redis).show()
    await until(works)
    _, second = await api.order("v5")
    asked = [(await api.get(f"/api/v5/order/{said['message_id']}"))[1]["shown"] for said in (first, second)]
    assert asked == [True, False]
