"""v1: a 201 is a committed row, once."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import asyncpg
import pytest

from tests.integration.backend.api.in_process import LocalApi
from tests.integration.backend.api.process import KEY, ORDER, OTHER, running, taken
from tests.waiting import until

BLOCK = """
    INSERT INTO orders (version, message_id, drink, store, price_cents, ordered_at, accepted_at, source_id)
    VALUES ('v1', $1, 'latte', 'uptown', 500, '2025-01-15T10:00:00Z', now(), '')
"""
WAITING = (
    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'coffee-api' AND wait_event_type = 'Lock'"
)


async def test_an_accepted_order_is_a_row(api: LocalApi, database: "asyncpg.Connection[Any]") -> None:
    status, said = await api.order("v1")
    assert (status, said["status"]) == (201, "stored")
    row = await database.fetchrow("SELECT * FROM orders")
    assert row is not None
    assert UUID(said["message_id"]) == row["message_id"]
    assert row["message_id"].version == 7
    assert [row[name] for name in ("version", "drink", "store", "price_cents", "source_id")] == [
        *("v1", "latte", "uptown", 500),
        "",
    ]
    assert row["ordered_at"] == datetime(2025, 1, 15, 10, tzinfo=UTC)
    assert row["accepted_at"] <= row["stored_at"]


async def test_a_repeat_gets_the_first_answer_and_no_row(
    api: LocalApi, database: "asyncpg.Connection[Any]"
) -> None:
    first = await api.order("v1", key=KEY)
    assert first == taken("v1", KEY)
    assert await api.order("v1", key=f'"{KEY.upper()}"') == first
    assert await database.fetchval("SELECT count(*) FROM orders") == 1


@pytest.mark.parametrize("change", [{"price": 4.99}, {"drink": "americano"}, {"store": "central"}])
async def test_a_key_of_another_order_is_refused(
    api: LocalApi, database: "asyncpg.Connection[Any]", change: dict[str, object]
) -> None:
    await api.order("v1", key=KEY)
    status, problem = await api.order("v1", {**ORDER, **change}, KEY)
    assert (status, problem["type"], problem["field"]) == (422, "/problems/key-conflict", "Idempotency-Key")
    assert await database.fetchval("SELECT array_agg(price_cents) FROM orders") == [500]


async def test_a_moment_is_compared_and_not_its_spelling(api: LocalApi) -> None:
    await api.order("v1", key=KEY)
    assert (await api.order("v1", {**ORDER, "timestamp": "2025-01-15T11:00:00.000+01:00"}, KEY))[0] == 201
    assert (await api.order("v1", {**ORDER, "timestamp": "2025-01-15T10:00:00.000001Z"}, KEY))[0] == 422


LAST = {**ORDER, "timestamp": "9999-12-31T23:59:59.999999Z"}


async def test_the_last_microsecond_is_stored_as_it_is_and_repeated(
    api: LocalApi, database: "asyncpg.Connection[Any]"
) -> None:
    # asyncpg writes datetime.max, which this is, as PostgreSQL's infinity.
    first = await api.order("v1", LAST, KEY)
    assert first == taken("v1", KEY)
    assert await api.order("v1", LAST, KEY) == first
    assert (await api.order("v1", {**ORDER, "timestamp": "9999-12-31T23:59:59.999998Z"}, KEY))[0] == 422
    assert (await api.order("v1", LAST))[0] == 201
    batch = json.dumps([{**LAST, "message_id": KEY[:-1] + "c"}, LAST]).encode()
    for _ in range(2):
        assert (await api.batch("v1", batch))[0] == 201
    stored = await database.fetchval("SELECT array_agg(DISTINCT ordered_at::text) FROM orders")
    assert stored == ["9999-12-31 23:59:59.999999+00"]
    assert await database.fetchval("SELECT count(*) FROM orders") == 5


async def test_a_row_of_an_earlier_version_at_the_last_microsecond_is_the_same_order(
    api: LocalApi, database: "asyncpg.Connection[Any]"
) -> None:
    await database.execute(BLOCK, UUID(KEY))
    await database.execute("UPDATE orders SET ordered_at = 'infinity'")
    assert (await api.order("v1", LAST, KEY))[0] == 201
    assert (await api.batch("v1", json.dumps([{**LAST, "message_id": KEY}]).encode()))[0] == 201
    assert (await api.order("v1", ORDER, KEY))[0] == 422


async def test_a_key_that_only_looks_like_a_uuid_takes_nobody_elses(
    api: LocalApi, database: "asyncpg.Connection[Any]"
) -> None:
    lookalike = KEY[:-2] + "_" + KEY[-1]  # UUID() reads it as ``theirs``
    theirs = str(UUID(lookalike))
    assert (await api.order("v1", ORDER, lookalike))[0] == 422
    assert (await api.batch("v1", json.dumps([{**ORDER, "message_id": lookalike}]).encode()))[0] == 422
    assert await api.order("v1", {**ORDER, "price": 6}, theirs) == taken("v1", theirs)
    assert await database.fetchval("SELECT count(*) FROM orders") == 1


async def test_twenty_at_once_under_one_key_are_one_row(
    api: LocalApi, database: "asyncpg.Connection[Any]"
) -> None:
    answers = await asyncio.gather(*(api.order("v1", key=KEY) for _ in range(20)))
    assert sorted({status for status, _ in answers}) == [201, 409]
    assert {said["type"] for status, said in answers if status == 409} == {"/problems/key-in-flight"}
    assert await api.order("v1", key=KEY) == taken("v1", KEY)
    assert await database.fetchval("SELECT count(*) FROM orders") == 1


async def test_nothing_is_stored_of_what_is_refused(api: LocalApi, database: "asyncpg.Connection[Any]") -> None:
    for bad in ({"drink": "tea"}, {"price": 0}, {"price": "5"}, {"timestamp": "now"}, {"size": 1}):
        assert (await api.order("v1", {**ORDER, **bad}))[0] == 422
    assert await database.fetchval("SELECT count(*) FROM orders") == 0


async def test_a_commit_that_does_not_come_back_is_an_unknown_outcome(
    api: LocalApi, database: "asyncpg.Connection[Any]"
) -> None:
    transaction = database.transaction()
    await transaction.start()
    await database.execute(BLOCK, UUID(KEY))
    status, problem = await api.order("v1", key=KEY)
    assert (status, problem["type"], problem["message_id"]) == (504, "/problems/outcome-unknown", KEY)
    assert KEY in problem["detail"]
    await transaction.rollback()
    assert await api.order("v1", key=KEY) == taken("v1", KEY)
    assert await database.fetchval("SELECT count(*) FROM orders") == 1


@pytest.mark.parametrize("how", ["pg_terminate_backend", "pg_cancel_backend"])
async def test_an_order_that_is_broken_off_has_an_unknown_outcome(
    api: LocalApi, database: "asyncpg.Connection[Any]", how: str
) -> None:
    async with database.transaction():
        await database.execute(BLOCK, UUID(KEY))
        asking = asyncio.create_task(api.order("v1", key=KEY))
        await until(lambda: database.fetchval(WAITING))
        await database.execute(
            f"SELECT {how}(pid) FROM pg_stat_activity "
            "WHERE application_name = 'coffee-api' AND wait_event_type = 'Lock'"
        )
        status, problem = await asking
        assert (status, problem["message_id"]) == (504, KEY)
    await until(lambda: api.is_ready("v1"))
    assert (await api.order("v1", OTHER, KEY))[0] == 422
    assert (await api.order("v1"))[0] == 201


async def test_what_was_taken_is_answered_after_sigterm(
    tmp_path: Path, database_url: str, database: "asyncpg.Connection[Any]"
) -> None:
    async with running(tmp_path, DATABASE_URL=database_url, COFFEE_PIPELINES="v1") as api:
        await until(lambda: api.is_ready("v1"))
        async with database.transaction():
            await database.execute(BLOCK, UUID(KEY))
            asking = asyncio.create_task(api.order("v1", key=KEY))
            await until(lambda: database.fetchval(WAITING))
            api.process.terminate()
            await until(lambda: _refuses(api.base_url))
        assert await asking == taken("v1", KEY)
        await until(lambda: api.process.poll() is not None)
    assert api.process.returncode == 0


async def _refuses(url: str) -> bool:
    try:
        async with aiohttp.ClientSession() as session, session.get(url):
            return False
    except aiohttp.ClientConnectionError:
        return True
