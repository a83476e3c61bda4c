"""v5's audit and reconciliation: rows, kept totals and metrics of one moment, and each of them changed by hand."""

import asyncio

import pytest
from redis.asyncio import Redis

from backend.clients.daemon import Database, open_postgres
from backend.pipelines.audit import audit
from backend.pipelines.balance import Balance
from backend.pipelines.v5_live.projector import METRICS, Projector, read_kept
from coffee_core.pipelines.constants import V5
from coffee_core.settings import Settings
from tests.integration.backend.pipelines.repairs import reconcile
from tests.integration.backend.pipelines.v5_live.orders import place
from tests.integration.shown import latency_count, shown, stored


async def look(settings: Settings) -> Balance:
    (balance,) = await audit(settings, (V5,), settle_s=0)
    return balance


async def test_what_is_committed_and_not_shown_is_in_flight(
    settings: Settings, connection: Database, client: Redis
) -> None:
    await place(connection, 5)
    balance = await look(settings)
    assert (balance.balanced, balance.in_flight, balance.shown.orders) == (True, 5, 0)
    await Projector(connection, client).show()
    await place(connection, 3)
    balance = await look(settings)
    assert (balance.balanced, balance.accepted, balance.in_flight, balance.shown.orders) == (True, 8, 3, 5)


async def test_it_is_exact_while_orders_and_writes_go_on(
    settings: Settings, connection: Database, client: Redis, database_url: str
) -> None:
    done = asyncio.Event()

    async def load(hot: bool) -> None:
        session = await open_postgres(database_url)
        while not done.is_set():
            await place(session, 7, hot=hot)
        await session.close()

    async def show() -> None:
        writer = Projector(connection, client)
        while not done.is_set():
            await writer.show()

    tasks = [asyncio.create_task(each) for each in (load(hot=False), load(hot=False), load(hot=True), show())]
    looks = [await look(settings) for _ in range(10)]
    mended = await reconcile(settings, V5)
    done.set()
    await asyncio.gather(*tasks)
    assert [balance for balance in looks if not balance.balanced] == []
    assert not mended.drifted
    assert (await read_kept(connection)).totals == await stored(connection, "v5")


@pytest.mark.parametrize(
    ("change", "lost", "drift"),
    [
        ("delete from orders where version = 'v5' and message_id = $1", 1, 1),
        ("update orders set price_cents = price_cents + 1 where version = 'v5' and message_id = $1", 0, 0),
        (
            """
            insert into orders
            select version, uuidv7(), drink, store, price_cents, ordered_at, now(), now(), source_id
            from orders where version = 'v5' and message_id = $1
            """,
            0,
            -1,
        ),
        ("delete from v5_totals where $1::uuid is not null", 0, -6),
    ],
    ids=["a row deleted", "a price changed", "a row put in", "the totals deleted"],
)
async def test_what_other_hands_change_is_found_and_mended(
    settings: Settings, connection: Database, client: Redis, change: str, lost: int, drift: int
) -> None:
    writer = Projector(connection, client)
    first, *_ = await place(connection, 6)
    await writer.show()
    await connection.execute(change, first)
    for written in (False, True):
        if written:
            await writer.show()
        balance = await look(settings)
        assert not balance.balanced
        assert (balance.lost, balance.drift.orders) == (lost, drift)
        assert "`coffee reconcile v5`" in balance.notes[0]
    mended = await reconcile(settings, V5)
    assert (mended.orders, mended.mended) == (-drift, True)
    after = await look(settings)
    assert (after.balanced, after.in_flight) == (True, 0)
    assert await shown(client, METRICS) == await stored(connection, "v5")
    assert await latency_count(client, METRICS) <= 6 + max(0, -drift)
    await place(connection, 2)
    await writer.show()
    assert (await look(settings)).balanced


async def test_metrics_that_somebody_changes_drift_and_are_mended(
    settings: Settings, connection: Database, client: Redis
) -> None:
    await place(connection, 6)
    await Projector(connection, client).show()
    await client.incrby(METRICS.total_orders, 2)
    balance = await look(settings)
    assert (balance.balanced, balance.drift.orders) == (False, 2)
    assert (await reconcile(settings, V5)).orders == -2
    assert (await look(settings)).balanced


async def test_two_reconciliations_at_once_add_the_difference_once(
    settings: Settings, connection: Database, client: Redis
) -> None:
    await place(connection, 6)
    await connection.execute("truncate v5_totals")
    await asyncio.gather(*(reconcile(settings, V5) for _ in range(3)))
    assert await shown(client, METRICS) == await stored(connection, "v5")
    assert (await look(settings)).balanced
