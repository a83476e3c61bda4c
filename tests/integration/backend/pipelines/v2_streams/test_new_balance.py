"""A stream that was lost: the audit reports it until a new balance begins with the rows that exist."""

from redis.asyncio import Redis

from backend.clients.daemon import Database
from backend.pipelines.v2_streams.repair import begin_new_balance
from coffee_core import keys
from coffee_core.settings import Settings
from tests.integration.backend.pipelines.v2_streams.bench import drain, mixed, order, post, started
from tests.integration.backend.pipelines.v2_streams.test_audit import filled, look


async def flushed(settings: Settings, connection: Database, client: Redis) -> None:
    """Ten orders whose log is lost; the worker has healed the metrics from the rows."""
    await filled(connection, client)
    await client.flushall()
    await started(connection, client)
    balance = await look(settings)
    assert (balance.log_short, balance.lost, balance.drift.orders) == (10, 0, 0)
    assert not balance.balanced
    assert "coffee reconcile v2 --new-balance" in balance.notes[0]


async def test_it_balances_from_there_on_and_says_so(
    settings: Settings, connection: Database, client: Redis
) -> None:
    await flushed(settings, connection, client)
    await post(client, *mixed(3, seed=3))  # in flight: no business of the balance
    assert await begin_new_balance(settings) == 10
    balance = await look(settings, deep=True)
    assert (balance.balanced, balance.in_flight, balance.stored.orders) == (True, 3, 10)
    assert "10 stored orders are of a log that was lost" in balance.notes[0]
    await drain(await started(connection, client), client)
    balance = await look(settings)
    assert (balance.balanced, balance.accepted, balance.stored.orders) == (True, 3, 13)


async def test_what_goes_wrong_afterwards_is_seen(settings: Settings, connection: Database, client: Redis) -> None:
    await flushed(settings, connection, client)
    await begin_new_balance(settings)
    (entry_id,) = await post(client, order())
    await client.xdel(keys.STREAM, entry_id)
    assert (await look(settings)).lost == 1
    assert await begin_new_balance(settings) == 0
    assert (await look(settings)).lost == 1
    await client.flushall()
    assert (await look(settings)).log_short == 10
    assert await begin_new_balance(settings) == 10


async def test_a_log_that_is_whole_keeps_its_balance(
    settings: Settings, connection: Database, client: Redis
) -> None:
    await filled(connection, client)
    await connection.execute(
        "insert into orders select version, gen_random_uuid(), drink, store, price_cents, ordered_at, accepted_at,"
        " stored_at, 'by hand' from orders limit 1"
    )
    assert await begin_new_balance(settings) == 0
    assert (await look(settings)).log_short == 1
