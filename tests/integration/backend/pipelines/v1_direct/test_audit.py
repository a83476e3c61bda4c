"""v1 before real servers: what the audit finds when all is well, and when each thing that can be is wrong."""

import asyncio
import json
from uuid import uuid4

from click.testing import CliRunner, Result
from redis.asyncio import Redis

from backend.cli.main import coffee
from backend.clients.daemon import Database
from backend.pipelines.audit import audit
from backend.pipelines.balance import Balance
from backend.pipelines.v1_direct.aggregator import Aggregator
from backend.pipelines.v1_direct.fence import METRICS
from coffee_core.clock import now_us
from coffee_core.ids import new_message_id
from coffee_core.pipelines.constants import V1
from coffee_core.resources import sql
from coffee_core.settings import Settings
from coffee_core.standstill import Standstill
from tests.integration.backend.pipelines.repairs import reconcile
from tests.integration.backend.pipelines.v1_direct.test_run import place
from tests.servers import free_port

COPY = """
    insert into orders
    select version, gen_random_uuid(), drink, store, price_cents, ordered_at,
        accepted_at + $1 * interval '1 second', stored_at, source_id
    from orders where version = 'v1' limit 1
"""


async def look(settings: Settings, **how: bool) -> Balance:
    (balance,) = await audit(settings, (V1,), settle_s=0, **how)
    return balance


async def run(connection: Database, client: Redis) -> None:
    assert await Aggregator(connection, client).run(next_run_us=now_us() + 10_000_000)


async def test_rows_since_the_last_run_are_in_flight(
    settings: Settings, connection: Database, client: Redis
) -> None:
    await place(connection, 5)
    balance = await look(settings)
    assert (balance.balanced, balance.in_flight, balance.shown.orders) == (True, 5, 0)
    await run(connection, client)
    await place(connection, 3)
    balance = await look(settings)
    assert (balance.balanced, balance.accepted, balance.in_flight, balance.shown.orders) == (True, 8, 3, 5)
    assert "the next run, in " in balance.notes[0]


async def test_it_is_exact_while_orders_and_runs_go_on(
    settings: Settings, connection: Database, client: Redis, database_url: str
) -> None:
    placed = 0

    async def load() -> None:
        nonlocal placed
        while not done:
            await place(connection, 10)
            await run(connection, client)
            placed += 10

    done = False
    task = asyncio.create_task(load())
    looks = [await look(settings) for _ in range(10)]
    done = True
    await task
    assert [balance for balance in looks if not balance.balanced] == []
    assert (await look(settings)).shown.orders == placed > 0


async def test_a_deleted_row_is_lost_with_what_it_was(
    settings: Settings, connection: Database, client: Redis
) -> None:
    await place(connection, 4)
    await run(connection, client)
    cents = await connection.fetchval(
        "delete from orders where message_id = (select message_id from orders limit 1) returning price_cents"
    )
    balance = await look(settings)
    assert (balance.balanced, balance.lost, balance.drift.orders) == (False, 1, 1)
    assert balance.lost_totals is not None
    assert balance.lost_totals.revenue_cents == cents


async def test_a_key_that_was_counted_up_is_drift_until_it_is_reconciled(
    settings: Settings, connection: Database, client: Redis
) -> None:
    await place(connection, 4)
    await run(connection, client)
    await client.incr(METRICS.total_orders)
    await client.hincrby(METRICS.store_revenue, "uptown", 30)
    balance = await look(settings)
    assert (balance.balanced, balance.lost, balance.drift.orders) == (False, 0, 1)
    assert balance.drift.store_revenue_cents["uptown"] == 30
    due = await client.hget(METRICS.counters, "next_run_us")
    done = await reconcile(settings, V1)
    assert (done.mended, done.orders, done.fields) == (True, -1, {"store_revenue.uptown": -30})
    assert await client.hget(METRICS.counters, "next_run_us") == due
    assert (await look(settings)).balanced


async def test_a_deleted_snapshot_loses_no_order(settings: Settings, connection: Database, client: Redis) -> None:
    await place(connection, 4)
    await run(connection, client)
    await client.delete(METRICS.fence)
    assert (await look(settings)).balanced
    await place(connection, 1)
    balance = await look(settings)
    assert (balance.lost, balance.drift.orders) == (0, -1)
    await run(connection, client)
    assert (await look(settings)).balanced


async def test_one_order_under_two_ids_is_a_duplicate(
    settings: Settings, connection: Database, client: Redis
) -> None:
    await place(connection, 4)
    await connection.execute(COPY, 0)
    await run(connection, client)
    balance = await look(settings)
    assert (balance.balanced, balance.duplicated.orders, balance.drift.orders) == (False, 1, 0)


async def test_an_order_placed_twice_in_one_batch_is_two(
    settings: Settings, connection: Database, client: Redis
) -> None:
    now = now_us()
    ids = [new_message_id(), new_message_id()]
    insert = sql("backend.pipelines.v1_direct", "insert_orders")
    await connection.execute(insert, ids, ["latte"] * 2, ["uptown"] * 2, [500] * 2, [now] * 2, now)
    await run(connection, client)
    balance = await look(settings)
    assert (balance.balanced, balance.stored.orders, balance.duplicated.orders) == (True, 2, 0)


async def test_two_keys_of_clients_in_one_microsecond_are_two_orders(
    settings: Settings, connection: Database, client: Redis
) -> None:
    now = now_us()
    insert = sql("backend.pipelines.v1_direct", "insert_orders")
    for key in (uuid4(), uuid4()):  # each by an API of its own
        await connection.execute(insert, [key], ["latte"], ["uptown"], [500], [now], now)
    await run(connection, client)
    balance = await look(settings)
    assert (balance.balanced, balance.stored.orders, balance.duplicated.orders) == (True, 2, 0)
    assert (await look(settings, unique_timestamps=True)).duplicated.orders == 1
    # What an API has stored once more under an id of its own is a copy all the same.
    await connection.execute(insert, [new_message_id()], ["latte"], ["uptown"], [500], [now], now)
    await run(connection, client)
    assert (await look(settings)).duplicated.orders == 1


async def test_the_same_order_placed_twice_is_two_unless_timestamps_are_unique(
    settings: Settings, connection: Database, client: Redis
) -> None:
    await place(connection, 4)
    await connection.execute(COPY, 1)
    await run(connection, client)
    assert (await look(settings)).balanced
    assert (await look(settings, unique_timestamps=True)).duplicated.orders == 1


def command(settings: Settings, *words: str) -> Result:
    environ = {
        "COFFEE_HOME": str(settings.home),
        "COFFEE_PIPELINES": "v1",
        "API_URL": f"http://127.0.0.1:{free_port()}",
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
    }
    return CliRunner().invoke(coffee, list(words), env=environ, standalone_mode=False)


async def test_the_command_says_it_in_words_in_json_and_by_its_exit_code(
    settings: Settings, connection: Database, client: Redis
) -> None:
    await place(connection, 2)
    await run(connection, client)
    good = await asyncio.to_thread(command, settings, "audit")
    assert good.return_value == 0
    assert "v1: lost 0 · duplicated 0 · drift 0" in good.stdout
    await client.incr(METRICS.total_orders)
    bad = await asyncio.to_thread(command, settings, "audit", "--json", "--settle", "0")
    assert bad.return_value == 1
    assert "v1: lost 0 · duplicated 0 · drift +1" in bad.stderr
    report = json.loads(bad.stdout)
    assert report["balanced"] is False
    assert report["pipelines"][0]["drift"]["orders"] == 1
    mended = await asyncio.to_thread(command, settings, "reconcile", "v1")
    assert (mended.return_value, mended.stdout.splitlines()[0]) == (0, "v1: mended by -1 orders, 0.00")


async def test_the_command_says_why_orders_wait_and_that_nothing_is_lost(
    settings: Settings, connection: Database, client: Redis
) -> None:
    await place(connection, 2)
    why = Standstill("PostgreSQL: no room left on the device", "make room")
    await client.set(METRICS.standstill, why.to_json())
    words = await asyncio.to_thread(command, settings, "audit")
    assert (words.return_value, words.stderr) == (0, f"coffee: v1 waits: {why}\n")
    assert f"    waits: {why}" in words.stdout.splitlines()
    report = json.loads((await asyncio.to_thread(command, settings, "audit", "--json")).stdout)
    assert report["balanced"] is True
    assert report["pipelines"][0]["standstill"] == {"reason": why.reason, "cure": why.cure}


async def test_a_difference_that_heals_while_it_is_looked_at_is_none(
    settings: Settings, connection: Database, client: Redis
) -> None:
    await place(connection, 2)
    await run(connection, client)
    await client.delete(METRICS.total_orders)
    looking = asyncio.create_task(audit(settings, (V1,), settle_s=30))
    await asyncio.wait({looking}, timeout=0.5)
    assert not looking.done()
    await run(connection, client)
    (balance,) = await looking
    assert balance.balanced
    assert balance.notes[-1].startswith("after ")


def test_a_server_that_is_away_is_exit_code_3_and_named(settings: Settings) -> None:
    away = command(
        Settings.from_env({"REDIS_URL": "redis://127.0.0.1:1", "DATABASE_URL": settings.database_url}), "audit"
    )
    assert away.return_value == 3
    assert "Redis at 127.0.0.1:1 cannot be reached" in away.stderr
