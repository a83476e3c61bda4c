"""One run, and runs that overlap."""

import random

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from backend.clients.daemon import Database, open_postgres
from backend.pipelines.v1_direct import aggregator as run_module
from backend.pipelines.v1_direct.aggregator import Aggregator, RunTotals, read_fence, read_totals, write_totals
from backend.pipelines.v1_direct.fence import METRICS
from coffee_core.clock import now_us, to_datetime
from coffee_core.ids import new_message_id
from coffee_core.latency import bucket_of
from coffee_core.menu import DRINKS, STORES
from coffee_core.totals import Totals
from tests.integration.shown import latency_count, shown, stored

INSERT = """
    insert into orders (version, message_id, drink, store, price_cents, ordered_at, accepted_at, source_id)
    values ('v1', $1, $2, $3, $4, $5, $5, '')
"""


async def place(connection: Database, count: int = 1, late_us: int = 0) -> None:
    """Store orders of v1 that were accepted so many µs ago."""
    dice = random.Random(count)
    for _ in range(count):
        await connection.execute(
            INSERT,
            new_message_id(),
            dice.choice(DRINKS),
            dice.choice(STORES),
            dice.randint(1, 1000),
            to_datetime(now_us() - late_us),
        )


async def run(connection: Database, client: Redis) -> bool:
    return await Aggregator(connection, client).run(next_run_us=0)


async def test_no_order_at_all_is_zeros_for_the_whole_menu(connection: Database, client: Redis) -> None:
    assert await run(connection, client)
    assert await shown(client, METRICS) == Totals()
    assert await client.get(METRICS.total_orders) == "0"
    assert await latency_count(client, METRICS) == 0


async def test_totals_are_those_of_the_table(connection: Database, client: Redis) -> None:
    await place(connection, 60)
    await connection.execute("delete from orders where drink = 'americano'")
    assert await run(connection, client)
    rows = await stored(connection, "v1")
    assert rows.orders > 0
    assert rows.drink_counts["americano"] == 0
    assert await shown(client, METRICS) == rows


async def test_other_pipelines_do_not_count(connection: Database, client: Redis) -> None:
    for version in ("v2", "v3"):
        await connection.execute(
            INSERT.replace("'v1'", f"'{version}'"), new_message_id(), "latte", "uptown", 5, to_datetime(now_us())
        )
    await run(connection, client)
    assert await shown(client, METRICS) == Totals()


async def test_a_run_overwrites_whatever_is_there(connection: Database, client: Redis) -> None:
    await place(connection, 5)
    await client.hset(METRICS.drink_counts, mapping={"tea": "7", "latte": "x"})
    await client.set(METRICS.store_revenue, "somebody's")
    await client.set(METRICS.total_orders, "99", ex=100)
    await run(connection, client)
    assert await shown(client, METRICS) == await stored(connection, "v1")
    assert await client.ttl(METRICS.total_orders) == -1


async def test_each_order_is_late_once_and_by_as_much_as_it_was(connection: Database, client: Redis) -> None:
    await place(connection, 3, late_us=60_000_000)
    await run(connection, client)
    minute = {int(bucket): int(count) for bucket, count in (await client.hgetall(METRICS.latency)).items()}
    assert sum(minute.values()) == 3
    assert all(bucket_of(60e6) <= bucket <= bucket_of(70e6) for bucket in minute)
    await run(connection, client)
    await place(connection, 2)
    await run(connection, client)
    await run(connection, client)
    assert await latency_count(client, METRICS) == 5


async def test_an_order_under_way_during_a_run_is_late_in_the_next(
    database_url: str, connection: Database, client: Redis
) -> None:
    other = await open_postgres(database_url)
    transaction = other.transaction()
    await transaction.start()
    await place(other, 2)
    # A later transaction commits first: a watermark of time or of transaction ids would lose the two above.
    await place(connection, 1)
    await run(connection, client)
    assert (await shown(client, METRICS)).orders == await latency_count(client, METRICS) == 1
    await transaction.commit()
    await run(connection, client)
    assert (await shown(client, METRICS)).orders == await latency_count(client, METRICS) == 3
    await other.close()


async def test_an_older_snapshot_never_overwrites_a_newer_one(connection: Database, client: Redis) -> None:
    await place(connection, 2)
    slow_fence = await read_fence(client)
    slow = await read_totals(connection, slow_fence)
    await place(connection, 3)
    assert await run(connection, client)
    assert not await write_totals(client, slow_fence, slow, 0, 0)
    assert (await shown(client, METRICS)).orders == await latency_count(client, METRICS) == 5


async def test_of_two_runs_with_one_snapshot_one_is_written(connection: Database, client: Redis) -> None:
    await run(connection, client)
    await place(connection, 4)
    fence = await read_fence(client)
    first, second = [await read_totals(connection, fence) for _ in range(2)]
    assert await write_totals(client, fence, first, 0, 0)
    assert not await write_totals(client, fence, second, 0, 0)
    assert await latency_count(client, METRICS) == 4


async def test_a_flush_heals_with_the_next_run(connection: Database, client: Redis) -> None:
    await place(connection, 4)
    await run(connection, client)
    await client.delete(*METRICS.metrics)
    await run(connection, client)
    assert await shown(client, METRICS) == await stored(connection, "v1")
    await client.flushall()
    await run(connection, client)
    assert await shown(client, METRICS) == await stored(connection, "v1")


async def test_a_database_that_started_over_is_believed(connection: Database, client: Redis) -> None:
    await client.set(METRICS.fence, f"9000000000:9000000000: {now_us()}")
    await place(connection, 4)
    assert await run(connection, client)
    assert (await shown(client, METRICS)).orders == await latency_count(client, METRICS) == 4


async def test_a_lab_key_of_the_wrong_type_stops_the_write_before_it_begins(
    connection: Database, client: Redis
) -> None:
    await run(connection, client)
    await client.delete(METRICS.latency)
    await client.set(METRICS.latency, "somebody's")
    await place(connection, 1)
    with pytest.raises(ResponseError, match="v1:lab:latency is a string"):
        await run(connection, client)
    assert await client.get(METRICS.total_orders) == "0"


async def test_the_counters_say_when_and_how_long(connection: Database, client: Redis) -> None:
    before = now_us()
    run: RunTotals = await read_totals(connection, await read_fence(client))
    assert await write_totals(client, await read_fence(client), run, 1234, 5678)
    counters = await client.hgetall(METRICS.counters)
    assert before <= int(counters.pop("last_update_us")) <= now_us()
    assert counters == {"last_run_us": "1234", "next_run_us": "5678"}


async def test_the_scan_may_run_in_parallel(connection: Database) -> None:
    await connection.execute(
        "set parallel_setup_cost = 0; set parallel_tuple_cost = 0; set min_parallel_table_scan_size = 0;"
        "set max_parallel_workers_per_gather = 2;"
        "insert into orders select 'v1', gen_random_uuid(), 'latte', 'uptown', 1, now(), now(), now(), ''"
        " from generate_series(1, 20000); analyze orders_v1"
    )
    plan = await connection.fetch(f"explain {run_module._TOTALS}", "1:1:", to_datetime(0), 0)
    assert any("Parallel Seq Scan on orders_v1" in row[0] for row in plan), plan
