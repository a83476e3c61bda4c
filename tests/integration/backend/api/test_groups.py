"""v1's orders without a key are committed in groups: all of a group or none, and nobody is forgotten."""

import asyncio
from collections import Counter
from typing import Any
from uuid import UUID

import asyncpg

from tests.integration.backend.api.in_process import LocalApi
from tests.integration.backend.api.test_isolation import locked
from tests.waiting import until

MANY = 100
BUSY = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'relation'"


async def test_every_order_of_many_at_once_is_its_own_row(
    api: LocalApi, database: "asyncpg.Connection[Any]"
) -> None:
    prices = [(100 + number) / 100 for number in range(MANY)]
    order = {"drink": "latte", "store": "uptown", "timestamp": "2025-01-15T10:00:00Z"}
    answers = await asyncio.gather(*(api.order("v1", {**order, "price": price}) for price in prices))
    assert Counter(status for status, _ in answers) == {201: MANY}
    stored = {row["message_id"]: row["price_cents"] for row in await database.fetch("SELECT * FROM orders")}
    said = {UUID(body["message_id"]): round(price * 100) for (_, body), price in zip(answers, prices, strict=True)}
    assert stored == said


async def test_those_who_come_while_groups_are_written_go_with_the_next(
    api: LocalApi, database: "asyncpg.Connection[Any]"
) -> None:
    lock = await locked(database)
    orders = [asyncio.create_task(api.order("v1"))]
    await until(lambda: database.fetchval(BUSY))
    orders += [asyncio.create_task(api.order("v1")) for _ in range(MANY)]
    await until(lambda: _is(database, 2))
    orders += [asyncio.create_task(api.order("v1")) for _ in range(MANY)]
    await lock.rollback()
    assert Counter(status for status, _ in await asyncio.gather(*orders)) == {201: 1 + 2 * MANY}
    # Each group is one transaction.
    transactions = await database.fetchval("SELECT count(DISTINCT xmin::text) FROM orders")
    assert await database.fetchval("SELECT count(*) FROM orders") == 1 + 2 * MANY
    assert transactions == 3


async def test_a_group_that_postgres_refuses_is_nowhere_and_the_next_one_is_taken(
    api: LocalApi, database: "asyncpg.Connection[Any]"
) -> None:
    await database.execute("ALTER TABLE orders_v1 ADD CONSTRAINT none CHECK (price_cents > 10000000) NOT VALID")
    answers = await asyncio.gather(*(api.order("v1") for _ in range(MANY)))
    assert {(status, body["type"]) for status, body in answers} == {(503, "/problems/unavailable")}
    assert await database.fetchval("SELECT count(*) FROM orders") == 0
    await database.execute("ALTER TABLE orders_v1 DROP CONSTRAINT none")
    assert (await api.order("v1"))[0] == 201


async def test_a_group_that_is_broken_off_has_an_unknown_outcome_for_each(
    api: LocalApi, database: "asyncpg.Connection[Any]"
) -> None:
    lock = await locked(database)
    orders = [asyncio.create_task(api.order("v1")) for _ in range(MANY)]
    await until(lambda: database.fetchval(BUSY))
    await database.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE application_name = 'coffee-api' AND wait_event_type = 'Lock'"
    )
    answers = await asyncio.gather(*orders)
    assert {status for status, _ in answers} == {504}
    assert len({body["message_id"] for _, body in answers}) == MANY
    await lock.rollback()
    await until(lambda: api.is_ready("v1"))
    assert (await api.order("v1"))[0] == 201


async def _is(database: "asyncpg.Connection[Any]", wanted: int) -> bool:
    waiting: int = await database.fetchval(BUSY)
    return waiting == wanted
