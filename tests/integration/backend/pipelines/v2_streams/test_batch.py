"""What one worker makes of what it reads."""

from itertools import chain

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from backend.clients.daemon import Database
from backend.pipelines.v2_streams import batch
from backend.pipelines.v2_streams.batch import METRICS, RowVanishedError, parse, store
from coffee_core import keys
from coffee_core.clock import MAX_TIME_US, from_datetime, now_us
from coffee_core.ids import new_message_id
from coffee_core.latency import MAX_BUCKET, bucket_of
from coffee_core.order import Order
from tests.integration.backend.pipelines.v2_streams.bench import (
    assert_exact,
    counters,
    dead,
    drain,
    mixed,
    order,
    post,
    started,
)
from tests.integration.shown import shown, stored


async def test_orders_become_rows_and_metrics(connection: Database, client: Redis) -> None:
    await post(client, *mixed(250))
    await drain(await started(connection, client, batch_orders=100), client)
    await assert_exact(connection, client, 250)
    assert "duplicates" not in await counters(client)


async def test_a_row_knows_its_entry(connection: Database, client: Redis) -> None:
    (entry_id,) = await post(client, order())
    await drain(await started(connection, client), client)
    assert await connection.fetchval("select source_id from orders_v2") == entry_id


@pytest.mark.parametrize("others", [0, 60])
async def test_a_row_says_to_the_microsecond_what_its_entry_says(
    connection: Database, client: Redis, others: int
) -> None:
    times_us = (0, 1, 999_999, 1_736_935_200_123_457, 2**53 + 1, MAX_TIME_US)
    orders = [order(ordered_at_us=each, accepted_at_us=MAX_TIME_US - each) for each in times_us]
    worker = await started(connection, client)
    await post(client, *orders, *mixed(others))
    await drain(worker, client)
    rows = await connection.fetch(
        "select message_id, drink, store, price_cents, ordered_at, accepted_at from orders_v2"
        " where message_id = any($1)",
        [each.message_id for each in orders],
    )
    found = {Order(*row[:4], *map(from_datetime, row[4:])) for row in map(tuple, rows)}
    assert found == set(orders)
    # To the microsecond also where a repeat is compared with its row.
    await post(client, *orders)
    await drain(worker, client)
    assert (await counters(client))["duplicates"] == len(orders)


async def test_repeats_within_a_batch_and_later_count_once(connection: Database, client: Redis) -> None:
    repeated = order()
    entry_ids = await post(client, repeated, *mixed(10), repeated, repeated)
    worker = await started(connection, client)
    await drain(worker, client)
    await post(client, repeated)
    await drain(worker, client)
    await assert_exact(connection, client, 11)
    assert (await counters(client))["duplicates"] == 3
    kept = await connection.fetchval("select source_id from orders_v2 where message_id = $1", repeated.message_id)
    assert kept == entry_ids[0]


async def test_another_order_under_the_same_key_is_a_dead_letter(connection: Database, client: Redis) -> None:
    key = new_message_id()
    _, other = await post(client, order(key), order(key, price_cents=700))
    await drain(await started(connection, client), client)
    await assert_exact(connection, client, 1)
    (letter,) = await dead(client)
    assert (letter["reason"], letter["origin"], letter["price_cents"]) == ("key-conflict", other, "700")
    assert (await counters(client))["dead"] == 1


async def test_what_cannot_be_read_is_a_dead_letter_byte_by_byte(connection: Database, client: Redis) -> None:
    await post(client, order())
    await client.execute_command("XADD", keys.STREAM, "*", "drink", b"caf\xe9")
    fields = order().to_fields()
    await client.xadd(keys.STREAM, {**fields, "price_cents": "5.00"})
    await client.xadd(keys.STREAM, {str(number): "x" for number in range(9000)})
    await drain(await started(connection, client), client)
    await assert_exact(connection, client, 1)
    letters = await dead(client)
    assert [letter["reason"] for letter in letters] == ["malformed"] * 3
    assert letters[0]["drink"] == "caf\udce9"
    assert letters[1]["detail"].startswith("price_cents: must be a whole number")
    assert letters[1]["message_id"] == fields["message_id"]
    assert len(letters[2]) == 1003


async def test_what_postgresql_refuses_is_a_dead_letter_and_the_rest_is_stored(
    connection: Database, client: Redis
) -> None:
    await connection.execute("alter table orders_v2 add constraint no_bargains check (price_cents <> 13)")
    bargains = [order(price_cents=13), order(price_cents=13)]
    await post(client, *mixed(40), bargains[0], *(order() for _ in range(17)), bargains[1])
    rows_to_come = 57 + 1 - 1 - sum(each.price_cents == 13 for each in mixed(40))
    await drain(await started(connection, client), client)
    await assert_exact(connection, client, rows_to_come)
    letters = await dead(client)
    assert {letter["reason"] for letter in letters} == {"refused"}
    assert {str(each.message_id) for each in bargains} <= {letter["message_id"] for letter in letters}
    assert letters[0]["detail"].startswith("23514: ")


async def test_entries_deleted_by_somebody_do_not_stay_pending(connection: Database, client: Redis) -> None:
    await started(connection, client)
    (gone, _) = await post(client, order(), order())
    await client.xreadgroup(keys.STREAM_GROUP, "test-1", {keys.STREAM: ">"})
    await client.xdel(keys.STREAM, gone)
    await drain(await started(connection, client), client)
    await assert_exact(connection, client, 1)


@pytest.mark.parametrize("successor", ["test-1", "test-2"])
async def test_an_order_stored_and_then_deleted_from_the_stream_by_somebody_is_shown(
    connection: Database, client: Redis, monkeypatch: pytest.MonkeyPatch, successor: str
) -> None:
    monkeypatch.setattr(batch, "MIN_IDLE_MS", 0)
    await started(connection, client)
    (gone, _) = await post(client, order(), order())
    answer = await client.xreadgroup(keys.STREAM_GROUP, "test-1", {keys.STREAM: ">"})
    await store(connection, parse(answer[0][1]))
    await client.xdel(keys.STREAM, gone)
    await drain(await started(connection, client, successor), client)
    await started(connection, client, successor)
    assert (await shown(client, METRICS)).orders == 2
    assert await shown(client, METRICS) == await stored(connection, "v2")
    assert (await client.xpending(keys.STREAM, keys.STREAM_GROUP))["pending"] == 0


async def test_a_metric_key_of_the_wrong_type_stops_the_batch_before_its_first_write(
    connection: Database, client: Redis
) -> None:
    worker = await started(connection, client)
    await client.delete(METRICS.store_revenue)
    await client.set(METRICS.store_revenue, "somebody's")
    await post(client, order())
    with pytest.raises(ResponseError, match="v2:metrics:store_revenue is a string"):
        await worker.step()
    assert await client.xlen(keys.STREAM) == 1
    assert await client.hvals(METRICS.drink_counts) == ["0"] * 3
    await client.delete(METRICS.store_revenue)
    await drain(await started(connection, client), client)
    await assert_exact(connection, client, 1)


@pytest.mark.parametrize("orders", [1, 60])
async def test_a_row_that_vanishes_while_it_is_stored_is_no_effect(
    connection: Database, client: Redis, orders: int
) -> None:
    await connection.execute(
        "create function vanish() returns trigger language plpgsql as $$ begin return null; end $$;"
        "create trigger vanish before insert on orders_v2 for each row execute function vanish()"
    )
    entries = [
        (f"1-{number}", [str(item) for item in chain.from_iterable(each.to_fields().items())])
        for number, each in enumerate(mixed(orders))
    ]
    with pytest.raises(RowVanishedError):
        await store(connection, parse(entries))


async def test_lateness_falls_into_the_buckets_that_everybody_reads(connection: Database, client: Redis) -> None:
    worker = await started(connection, client)
    await post(
        client,
        order(accepted_at_us=now_us() - 60_000_000),
        order(accepted_at_us=now_us() + 60_000_000),
        order(accepted_at_us=0),
    )
    await drain(worker, client)
    ahead, minute, ancient = sorted(int(bucket) for bucket in await client.hkeys(METRICS.latency))
    assert ahead == 0
    assert bucket_of(60e6) <= minute <= bucket_of(90e6)
    assert ancient == MAX_BUCKET
