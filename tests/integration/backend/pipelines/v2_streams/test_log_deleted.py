"""Entries that somebody deletes from the stream under a worker: what is shown is what is stored."""

import pytest
from redis.asyncio import Redis

from backend.clients.daemon import Database
from backend.pipelines.v2_streams import batch
from backend.pipelines.v2_streams.batch import METRICS, BatchScripts, ConsumerGroup, parse, store
from backend.pipelines.v2_streams.reconcile import reconcile
from coffee_core import keys
from tests.integration.backend.pipelines.v2_streams.bench import drain, mixed, post, started
from tests.integration.shown import shown, stored


async def in_step(connection: Database, client: Redis, orders: int) -> bool:
    rows = await stored(connection, "v2")
    return rows.orders == orders and await shown(client, METRICS) == rows


async def test_an_entry_that_is_deleted_before_a_reconciliation_is_counted_once(
    connection: Database, client: Redis
) -> None:
    await started(connection, client)
    ids = await post(client, *mixed(5))
    in_hand = parse((await client.xreadgroup(keys.STREAM_GROUP, "test-1", {keys.STREAM: ">"}))[0][1])
    await store(connection, in_hand)
    await client.xdel(keys.STREAM, *ids[:2])
    await reconcile(connection, client)
    assert not (await BatchScripts(client, "test-1").apply(in_hand)).consistent
    # Also by a successor: the one that noticed may die.
    await started(connection, client)
    assert await in_step(connection, client, 5)


async def test_a_row_whose_stream_is_deleted_before_it_is_counted_is_shown(
    connection: Database, client: Redis
) -> None:
    await drain(await started(connection, client), client)
    await post(client, *mixed(5))
    in_hand = parse((await client.xreadgroup(keys.STREAM_GROUP, "test-1", {keys.STREAM: ">"}))[0][1])
    await client.delete(keys.STREAM)
    await store(connection, in_hand)
    # The worker dies here: nothing on the new stream tells of its rows.
    await started(connection, client)
    assert await in_step(connection, client, 5)


async def test_deleted_entries_that_leave_the_group_with_a_claim_are_remembered(
    connection: Database, client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "MIN_IDLE_MS", 0)
    await started(connection, client)
    ids = await post(client, *mixed(3))
    in_hand = parse((await client.xreadgroup(keys.STREAM_GROUP, "gone", {keys.STREAM: ">"}))[0][1])
    await store(connection, in_hand)
    await client.xdel(keys.STREAM, *ids)
    assert await ConsumerGroup(client, "test-2", 10).claim_stale() == [(each, ()) for each in ids]
    # Who has claimed them dies before it can say so; nobody is ever delivered them again.
    await started(connection, client, "test-3")
    assert await in_step(connection, client, 3)
