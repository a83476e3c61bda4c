"""v5's statements before a real PostgreSQL: what is inserted is counted, to the µs, and nothing else."""

import asyncpg
import pytest

from backend.clients.daemon import Database
from backend.pipelines.v5_live.ingest import ADD, ADD_FRESH
from backend.pipelines.v5_live.projector import read_kept
from coffee_core.ids import new_message_id
from tests.integration.shown import stored

ACCEPTED_US = 1_700_000_000_123_457


async def add(connection: Database, statement: str, ids: list[object], cents: int) -> object:
    count = len(ids)
    columns = (
        ids,
        ["latte"] * count,
        ["uptown"] * count,
        [cents] * count,
        [ACCEPTED_US] * count,
        [ACCEPTED_US] * count,
    )
    return await connection.fetchval(statement, *columns, False)


@pytest.mark.parametrize("statement", [ADD, ADD_FRESH], ids=["add_orders", "add_fresh"])
async def test_the_times_of_acceptance_are_summed_exactly(connection: Database, statement: str) -> None:
    assert await add(connection, statement, [new_message_id() for _ in range(7)], 450) is None
    kept = await read_kept(connection)
    assert (kept.totals.orders, kept.totals.revenue_cents, kept.accepted_us) == (7, 7 * 450, 7 * ACCEPTED_US)


async def test_a_repeat_adds_nothing_and_is_not_among_the_added(connection: Database) -> None:
    first, second = new_message_id(), new_message_id()
    assert await add(connection, ADD, [first], 450) is None
    assert await add(connection, ADD, [first, second], 999) == [second]
    assert await add(connection, ADD, [first, second], 999) == []
    assert (await read_kept(connection)).totals == await stored(connection, "v5")
    assert (await read_kept(connection)).totals.revenue_cents == 450 + 999


async def test_a_fresh_id_that_is_there_refuses_its_whole_group(connection: Database) -> None:
    first = new_message_id()
    assert await add(connection, ADD_FRESH, [first], 450) is None
    with pytest.raises(asyncpg.UniqueViolationError):
        await add(connection, ADD_FRESH, [new_message_id(), first], 450)
    kept = (await read_kept(connection)).totals
    assert kept == await stored(connection, "v5")
    assert kept.orders == 1
