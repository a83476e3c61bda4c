"""v2 before real servers: exact under load, and each thing that can be wrong is named."""

import asyncio

from redis.asyncio import Redis

from backend.clients.daemon import Database, open_redis
from backend.pipelines.audit import audit
from backend.pipelines.balance import Balance
from backend.pipelines.v2_streams.batch import METRICS, parse, store
from backend.pipelines.v2_streams.repair import read_letters
from backend.pipelines.v2_streams.worker import Worker
from coffee_core import keys
from coffee_core.ids import new_message_id
from coffee_core.pipelines.constants import V2
from coffee_core.settings import Settings
from tests.integration.backend.pipelines.repairs import reconcile
from tests.integration.backend.pipelines.v2_streams.bench import drain, mixed, order, post, started


async def look(settings: Settings, settle_s: float = 0, **how: bool) -> Balance:
    (balance,) = await audit(settings, (V2,), settle_s=settle_s, **how)
    return balance


async def filled(connection: Database, client: Redis) -> None:
    """Ten orders, two repeats, one dead letter, all done with."""
    orders = mixed(10)
    await post(client, *orders, *orders[:2])
    await client.xadd(keys.STREAM, {"drink": "tea"})
    await drain(await started(connection, client), client)


async def test_everything_that_was_accepted_is_somewhere(
    settings: Settings, connection: Database, client: Redis
) -> None:
    await filled(connection, client)
    await post(client, *mixed(3))
    balance = await look(settings, deep=True)
    assert balance.balanced
    assert (balance.accepted, balance.stored.orders, balance.shown.orders) == (16, 10, 10)
    assert (balance.duplicates_dropped, balance.dead_letters, balance.in_flight) == (2, 1, 3)


async def test_entry_ids_need_not_be_times(settings: Settings, connection: Database, client: Redis) -> None:
    worker = await started(connection, client)
    most = 2**64 - 1
    await client.xadd(keys.DEAD_STREAM, {"reason": "x", "origin": "0-0"}, id=f"{most}-{most}")
    assert len(await read_letters(client)) == 1
    await client.delete(keys.DEAD_STREAM)
    for entry_id in ("0-1", "5-9", f"{2**63}-0", f"{most}-{most - 1}", f"{most}-{most}"):
        await client.xadd(keys.STREAM, order().to_fields(), id=entry_id)
        waiting = await look(settings, deep=True)
        assert (waiting.balanced, waiting.in_flight) == (True, 1)
        await drain(worker, client)
        assert (await look(settings, deep=True)).balanced
    balance = await look(settings)
    assert (balance.accepted, balance.stored.orders, balance.shown.orders) == (5, 5, 5)
    await client.incr(METRICS.total_orders)
    await client.hincrby(METRICS.drink_counts, "latte", 1)
    assert (await look(settings)).drift.orders == 1
    await reconcile(settings, V2)
    assert (await look(settings)).balanced


async def test_it_is_exact_under_load(settings: Settings, connection: Database, client: Redis) -> None:
    orders = mixed(3000)
    worker = await started(connection, client, batch_orders=20)

    async def load() -> None:
        async with open_redis(settings.redis_url) as other:
            for first in range(0, len(orders), 100):
                await post(other, *orders[first : first + 100], orders[0])

    posting = asyncio.create_task(load())
    working = asyncio.create_task(_work(worker, client, posting))
    looks = []
    while not working.done():
        looks.append(await look(settings, deep=True))
    await working
    assert [balance for balance in looks if not balance.balanced] == []
    assert any(balance.in_flight for balance in looks)
    balance = await look(settings)
    assert (balance.balanced, balance.accepted, balance.stored.orders) == (True, 3030, 3000)


async def _work(worker: Worker, client: Redis, posting: "asyncio.Task[None]") -> None:
    while not posting.done() or await client.xlen(keys.STREAM):
        await worker.step()


async def test_stored_but_not_yet_counted_is_in_flight(
    settings: Settings, connection: Database, client: Redis
) -> None:
    await post(client, *mixed(5))
    worker = await started(connection, client)
    entries = await worker._group.read_blocking()
    await store(connection, parse(entries))
    balance = await look(settings, deep=True)
    assert (balance.balanced, balance.in_flight, balance.stored.orders) == (True, 5, 0)


async def test_a_deleted_row_is_lost_with_what_it_was(
    settings: Settings, connection: Database, client: Redis
) -> None:
    await filled(connection, client)
    cents = await connection.fetchval(
        "delete from orders where message_id = (select message_id from orders limit 1) returning price_cents"
    )
    balance = await look(settings)
    assert (balance.lost, balance.drift.orders, balance.balanced) == (1, 1, False)
    assert balance.lost_totals is not None
    assert balance.lost_totals.revenue_cents == cents


async def test_a_key_that_was_counted_up_is_drift_until_it_is_reconciled(
    settings: Settings, connection: Database, client: Redis
) -> None:
    await filled(connection, client)
    await client.incr(METRICS.total_orders)
    balance = await look(settings)
    assert (balance.lost, balance.drift.orders, balance.balanced) == (0, 1, False)
    done = await reconcile(settings, V2)
    assert (done.mended, done.orders) == (True, -1)
    assert (await look(settings)).balanced


async def test_an_entry_that_was_deleted_before_it_was_read_is_lost(
    settings: Settings, connection: Database, client: Redis
) -> None:
    await filled(connection, client)
    (entry_id,) = await post(client, order())
    await client.xdel(keys.STREAM, entry_id)
    balance = await look(settings)
    assert (balance.lost, balance.lost_totals, balance.drift.orders, balance.balanced) == (1, None, 0, False)
    await drain(await started(connection, client), client)
    assert (await look(settings)).lost == 1


async def test_a_pending_entry_that_was_deleted_is_named(
    settings: Settings, connection: Database, client: Redis
) -> None:
    await filled(connection, client)
    worker = await started(connection, client)
    (entry_id, _) = await post(client, order(), order())
    await worker._group.read_blocking()
    await client.xdel(keys.STREAM, entry_id)
    balance = await look(settings, deep=True)
    assert balance.lost == 1
    assert balance.deep is not None
    assert balance.deep.lost_ids == [entry_id]


async def test_a_second_row_of_one_entry_is_a_duplicate(
    settings: Settings, connection: Database, client: Redis
) -> None:
    await filled(connection, client)
    await connection.execute(
        "insert into orders select version, gen_random_uuid(), drink, store, price_cents, ordered_at, accepted_at,"
        " stored_at, source_id from orders limit 1"
    )
    balance = await look(settings)
    assert (balance.duplicated.orders, balance.lost, balance.log_short) == (1, 0, 0)
    assert (balance.drift.orders, balance.balanced) == (-1, False)


async def test_one_order_under_two_ids_is_a_duplicate_where_timestamps_are_unique(
    settings: Settings, connection: Database, client: Redis
) -> None:
    one = order(ordered_at_us=1)
    await post(client, one, order(new_message_id(), ordered_at_us=1), order(ordered_at_us=2))
    await drain(await started(connection, client), client)
    assert (await look(settings)).balanced
    balance = await look(settings, unique_timestamps=True)
    assert (balance.duplicated.orders, balance.duplicated.revenue_cents, balance.lost) == (1, 500, 0)
    assert not balance.balanced


async def test_a_row_past_the_log_is_named(settings: Settings, connection: Database, client: Redis) -> None:
    await filled(connection, client)
    await connection.execute(
        "insert into orders select version, gen_random_uuid(), drink, store, price_cents, ordered_at, accepted_at,"
        " stored_at, 'by hand' from orders limit 1"
    )
    balance = await look(settings)
    assert (balance.log_short, balance.duplicated.orders, balance.balanced) == (1, 0, False)


async def test_a_dead_letter_that_was_deleted_by_hand_is_lost(
    settings: Settings, connection: Database, client: Redis
) -> None:
    await filled(connection, client)
    await client.xtrim(keys.DEAD_STREAM, maxlen=0)
    balance = await look(settings)
    assert (balance.lost, balance.balanced) == (1, False)


async def test_an_audit_claims_nothing(settings: Settings, connection: Database, client: Redis) -> None:
    await filled(connection, client)
    await look(settings)
    assert not await client.hexists(METRICS.counters, "cut")
    assert (await reconcile(settings, V2)).mended
