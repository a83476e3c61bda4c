import asyncio
import os
import subprocess
import sys

import asyncpg
import pytest

from backend.db import migrations
from backend.db.migrations import HEAD, current_revision, is_current, migrate
from coffee_core.errors import StackError
from coffee_core.menu import DRINKS, MAX_PRICE_CENTS, STORES
from tests.database import connected

INSERT = """
    insert into orders (version, message_id, drink, store, price_cents, ordered_at, accepted_at, source_id)
    values ($1, '0190f5fe-7c1e-7abc-8def-0123456789ab', $2, $3, $4, now(), now(), $5)
"""


async def test_two_processes_at_once_make_one_schema(empty_database_url: str) -> None:
    environ = {**os.environ, "DATABASE_URL": empty_database_url}
    command = (sys.executable, "-W", "error", "-m", "backend.db")
    processes = [
        await asyncio.create_subprocess_exec(*command, env=environ, stderr=subprocess.PIPE) for _ in range(2)
    ]
    outcomes = [await process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outcomes
    assert await current_revision(empty_database_url) == HEAD


async def test_migrating_again_changes_nothing_and_asks_no_more_than_it_must(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connected(database_url) as connection:
        await connection.execute(INSERT, "v1", "latte", "uptown", 500, "")
        monkeypatch.setattr(migrations, "_upgrade", pytest.fail)  # which loads alembic, longer than all the rest
        await migrate(database_url)
        assert await connection.fetchval("select count(*) from orders") == 1


async def test_only_at_this_very_revision_there_is_nothing_to_migrate(
    database_url: str, empty_database_url: str
) -> None:
    assert await is_current(database_url)
    assert not await is_current(empty_database_url)
    assert not await is_current("postgresql://coffee@127.0.0.1:1/coffee")
    async with connected(database_url) as connection:
        await connection.execute("update alembic_version set version_num = '0001'")
    assert not await is_current(database_url)


async def test_a_newer_schema_is_refused(database_url: str) -> None:
    async with connected(database_url) as connection:
        await connection.execute("update alembic_version set version_num = '9999'")
    assert not await is_current(database_url)
    with pytest.raises(StackError, match="9999"):
        await migrate(database_url)


async def test_an_unreachable_database_is_one_line_and_exit_code_1() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "backend.db",
        env={**os.environ, "DATABASE_URL": "postgresql://coffee@127.0.0.1:1/coffee"},
        stderr=subprocess.PIPE,
    )
    _, said = await process.communicate()
    assert process.returncode == 1
    assert said.startswith(b"cannot migrate: ")
    assert said.count(b"\n") == 1


@pytest.mark.parametrize("version", ["v1", "v2", "v3"])
async def test_each_version_has_its_own_partition(database_url: str, version: str) -> None:
    async with connected(database_url) as connection:
        await connection.execute(INSERT, version, "latte", "uptown", 500, "")
        assert await connection.fetchval("select tableoid::regclass::text from orders") == f"orders_{version}"


async def test_the_checks_are_the_menu(database_url: str) -> None:
    async with connected(database_url) as connection:
        insert = INSERT.replace("'0190f5fe-7c1e-7abc-8def-0123456789ab'", "gen_random_uuid()")
        for drink in DRINKS:
            for store in STORES:
                await connection.execute(insert, "v1", drink, store, MAX_PRICE_CENTS, "")
        for drink, store, cents in [
            ("tea", "uptown", 500),
            ("latte", "moon", 500),
            ("latte", "uptown", 0),
            ("latte", "uptown", MAX_PRICE_CENTS + 1),
        ]:
            with pytest.raises(asyncpg.CheckViolationError):
                await connection.execute(insert, "v1", drink, store, cents, "")


@pytest.mark.parametrize("table", ["orders", "orders_v3"])
async def test_an_upsert_into_v3_keeps_the_first_row(database_url: str, table: str) -> None:
    async with connected(database_url) as connection:
        # As Flink's JDBC sink sends it: every value as text of unknown type, every column in the SET list.
        upsert = """
            insert into {table}
                (version, message_id, drink, store, price_cents, ordered_at, accepted_at, source_id)
            values ('v3', '0190f5fe-7c1e-7abc-8def-0123456789ab', 'latte', 'uptown', {cents},
                    '2025-01-15 10:00:00.123456Z', '2025-01-15 10:00:01Z', '{source}')
            on conflict (version, message_id) do update set
                version = excluded.version, message_id = excluded.message_id,
                price_cents = excluded.price_cents, source_id = excluded.source_id
        """
        await connection.execute(upsert.format(table=table, cents=500, source="0:1"))
        await connection.execute(upsert.format(table=table, cents=700, source="0:2"))
        row = await connection.fetchrow("select price_cents, source_id from orders")
        assert row is not None
        assert tuple(row) == (500, "0:1")
