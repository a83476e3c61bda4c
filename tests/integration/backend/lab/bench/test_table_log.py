"""A log that is a table of PostgreSQL: a backlog in it, and the places that rows have of it."""

from dataclasses import replace
from pathlib import Path

import pytest

from backend.clients.daemon import Database
from backend.lab.bench.steps_drain import fill
from backend.pipelines.balance import unlogged
from coffee_core import pipelines
from coffee_core.order import Order
from coffee_core.pipelines import Log, LogKind
from coffee_core.pipelines.constants import V1
from coffee_core.settings import Settings

QUEUE = """
    create table "odd queue" (
        place bigint generated always as identity primary key,
        message_id uuid not null,
        drink text not null,
        store text not null,
        price_cents integer not null,
        ordered_at_us bigint not null,
        accepted_at_us bigint not null
    )
"""
STORE = """
    insert into orders (version, message_id, drink, store, price_cents, ordered_at, accepted_at, source_id)
    select 'v1', message_id, drink, store, price_cents, now(), now(), place::text from "odd queue"
"""


async def test_a_table_is_filled_with_orders_whose_rows_have_a_place_there(
    tmp_path: Path, database_url: str, connection: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings.from_env({"COFFEE_HOME": str(tmp_path), "DATABASE_URL": database_url})
    declared = replace(V1.info, log=Log(LogKind.TABLE, "odd queue", "odd dead", "", "rows"))
    monkeypatch.setitem(pipelines._declared, str(V1), declared)
    await connection.execute(QUEUE)
    await fill(settings, V1, 1_200)
    row = await connection.fetchrow('select * from "odd queue" order by place desc limit 1')
    assert row is not None
    assert row["place"] == 1_200
    fields = {name: value for name, value in row.items() if name != "place"}
    assert Order.from_fields({**fields, "message_id": str(fields["message_id"])}).price_cents > 0
    await connection.execute(STORE)
    assert await unlogged(connection, V1) == 0
    await connection.execute("update orders set source_id = '' where source_id = '7'")
    assert await unlogged(connection, V1) == 1
