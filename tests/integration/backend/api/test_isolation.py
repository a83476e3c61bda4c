"""A pipeline that hangs keeps its clients waiting, and nobody else's."""

import asyncio
from collections import Counter
from typing import Any
from uuid import uuid4

import asyncpg

from backend.api.admission import MAX_IN_FLIGHT
from backend.clients.postgres import POOL_CONNECTIONS
from tests.integration.backend.api.in_process import LocalApi
from tests.waiting import until

# Writers wait, readers do not: PostgreSQL stays up for the API's probe.
LOCK = "lock table orders_v1 in exclusive mode"
WAITING = "select count(*) from pg_locks where not granted and locktype = 'relation'"


async def locked(database: "asyncpg.Connection[Any]") -> "asyncpg.transaction.Transaction":
    transaction = database.transaction()
    await transaction.start()
    await database.execute(LOCK)
    return transaction


async def test_a_full_room_of_v1_takes_nothing_from_v2(api: LocalApi, database: "asyncpg.Connection[Any]") -> None:
    lock = await locked(database)
    orders = [asyncio.create_task(api.order("v1")) for _ in range(2 * MAX_IN_FLIGHT)]
    try:

        async def full() -> bool:
            return any(each.done() and each.result()[0] == 429 for each in orders)

        await until(full)
        assert (await api.order("v2"))[0] == 202
        assert not all(each.done() for each in orders)
    finally:
        await lock.rollback()
        await asyncio.gather(*orders)


async def test_who_finds_every_connection_busy_waits_for_a_turn(
    api: LocalApi, database: "asyncpg.Connection[Any]"
) -> None:
    lock = await locked(database)
    orders = [asyncio.create_task(api.order("v1", key=str(uuid4()))) for _ in range(4 * POOL_CONNECTIONS)]

    async def all_busy() -> bool:
        waiting: int = await database.fetchval(WAITING)
        return waiting == POOL_CONNECTIONS

    await until(all_busy)
    await lock.rollback()
    assert Counter(status for status, _ in await asyncio.gather(*orders)) == {201: 4 * POOL_CONNECTIONS}
