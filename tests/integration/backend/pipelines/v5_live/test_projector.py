"""v5's projector before real servers: what is committed is shown, once, whoever writes and whatever is missed."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from backend.clients.daemon import Database, Outage, open_postgres
from backend.pipelines.v5_live import projector
from backend.pipelines.v5_live.projector import METRICS, Fence, Kept, Projector, read_kept
from coffee_core.menu import DRINKS
from coffee_core.standstill import Standstill
from coffee_core.totals import Totals
from tests.database import connected
from tests.integration.backend.pipelines.v5_live.orders import place
from tests.integration.daemons import daemon, log_of
from tests.integration.shown import latency_count, shown, stored
from tests.waiting import until

DAEMON = "backend.pipelines.v5_live.projector"


@pytest.fixture
async def second(database_url: str) -> AsyncIterator[Database]:
    opened = await open_postgres(database_url)
    yield opened
    await opened.close()


async def in_step(connection: Database, client: Redis) -> bool:
    return await shown(client, METRICS) == await stored(connection, "v5")


async def test_no_order_at_all_is_zeros_for_the_whole_menu(connection: Database, client: Redis) -> None:
    assert await Projector(connection, client).show() == 0
    assert await shown(client, METRICS) == Totals()
    assert await client.hlen(METRICS.drink_counts) == len(DRINKS)


async def test_what_is_kept_are_the_rows_and_is_shown(
    connection: Database, client: Redis, second: Database
) -> None:
    writer = Projector(connection, client)
    await writer.show()
    for count in (1, 30, 2):
        await place(connection, count)
        await place(second, count, repeatable=False)
        await place(second, 1, hot=True)
    assert (await read_kept(connection)).totals == await stored(connection, "v5")
    assert await writer.show() == 69
    assert await shown(client, METRICS) == await stored(connection, "v5")
    assert await latency_count(client, METRICS) == 69
    before = await client.get(METRICS.fence)
    assert await writer.show() == 0
    assert await client.get(METRICS.fence) == before, "written again although nothing was new"


async def test_one_that_slept_overwrites_nothing_newer_and_counts_nobody_twice(
    connection: Database, client: Redis, second: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, quick = Projector(connection, client), Projector(second, client)
    await slow.show()
    await place(connection, 3)

    async def overtaken(database: Database) -> Kept:
        kept = await read_kept(database)
        monkeypatch.undo()
        await place(second, 4)
        assert await quick.show() == 7
        return kept

    monkeypatch.setattr(projector, "read_kept", overtaken)
    assert await slow.show() == 0
    assert await shown(client, METRICS) == await stored(connection, "v5")
    assert await latency_count(client, METRICS) == 7


async def test_after_a_restart_the_orders_of_meanwhile_count_as_late(connection: Database, client: Redis) -> None:
    await Projector(connection, client).show()
    await place(connection, 5, late_us=3_000_000)
    assert await Projector(connection, client).show() == 5
    assert await latency_count(client, METRICS) == 5


async def test_without_a_fence_nobody_knows_how_late_and_the_totals_are_right(
    connection: Database, client: Redis
) -> None:
    await place(connection, 5)
    await client.delete(METRICS.fence)
    await Projector(connection, client).show()
    assert await latency_count(client, METRICS) == 0
    assert await shown(client, METRICS) == await stored(connection, "v5")


@pytest.mark.parametrize("key", [METRICS.total_orders, METRICS.store_revenue, METRICS.fence])
async def test_a_key_that_somebody_deletes_or_changes_is_written_again(
    connection: Database, client: Redis, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setattr(projector, "CHECK_EVERY_S", 0.0)
    await place(connection, 5)
    writer = Projector(connection, client)
    await writer.show()
    await client.delete(key)
    await writer.show()
    assert await client.exists(key)
    await client.hset(METRICS.drink_counts, "latte", "many")
    await writer.show()
    assert await shown(client, METRICS) == await stored(connection, "v5")


async def follow(connection: Database, client: Redis, stop: asyncio.Event) -> None:
    await projector._follow(
        Projector(connection, client), connection, stop, Outage(stop, logging.getLogger("test"))
    )


@pytest.mark.parametrize("notified", [True, False])
async def test_a_notify_wakes_it_and_without_one_it_looks_by_itself(
    connection: Database, client: Redis, second: Database, monkeypatch: pytest.MonkeyPatch, notified: bool
) -> None:
    if notified:
        monkeypatch.setattr(projector, "LOOK_EVERY_S", 3_600.0)
    stop = asyncio.Event()
    following = asyncio.create_task(follow(connection, client, stop))
    await until(lambda: client.exists(METRICS.fence))
    for orders in (1, 2, 3):
        await place(second)
        if notified:
            await second.execute("notify v5_totals")
        await until(lambda orders=orders: _shows(client, orders))
    stop.set()
    await following


async def _shows(client: Redis, orders: int) -> bool:
    return (await client.get(METRICS.total_orders)) == str(orders)


async def test_two_of_them_agree_and_sigterm_ends_them(
    tmp_path: Path, database_url: str, redis_url: str, connection: Database, client: Redis
) -> None:
    async with (
        daemon(DAEMON, tmp_path, database_url, redis_url) as one,
        daemon(DAEMON, tmp_path, database_url, redis_url),
    ):
        await until(lambda: client.exists(METRICS.fence))
        for orders in range(1, 40):
            await place(connection)
            await connection.execute("notify v5_totals")
            if orders % 10 == 0:
                await until(lambda: in_step(connection, client))
        await until(lambda: in_step(connection, client))
        one.terminate()
        assert await asyncio.wait_for(one.wait(), 10) == 0
    assert await latency_count(client, METRICS) == 39


async def test_an_outage_is_told_and_what_was_committed_meanwhile_is_shown(
    tmp_path: Path, postgres_server: str, database_url: str, redis_url: str, connection: Database, client: Redis
) -> None:
    name = database_url.rpartition("/")[2]
    async with (
        connected(f"{postgres_server.rpartition('/')[0]}/postgres") as admin,
        daemon(DAEMON, tmp_path, database_url, redis_url),
    ):
        await until(lambda: client.exists(METRICS.fence))
        await admin.execute(f"alter database {name} allow_connections false")
        await connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = $1 and pid <> pg_backend_pid()",
            name,
        )
        await place(connection, 5)

        async def refused() -> bool:
            said = await client.get(METRICS.standstill)
            reason = f'PostgreSQL: database "{name}" is not currently accepting connections'
            return said is not None and Standstill.from_json(said).reason == reason

        await until(refused)
        await admin.execute(f"alter database {name} allow_connections true")
        await until(lambda: _shows(client, 5))
        await until(lambda: "works again" in log_of(tmp_path))


async def test_a_database_that_is_an_older_one_again_is_shown_as_it_is(
    connection: Database, client: Redis
) -> None:
    future = Fence("900000000:900000000:", 70, 70, 70)
    await client.set(METRICS.fence, str(future))
    await place(connection, 2)
    assert await Projector(connection, client).show() == 0
    assert await shown(client, METRICS) == await stored(connection, "v5")
