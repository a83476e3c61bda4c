"""Entries that nobody would ever be delivered: whatever has made them so, they are named, and processed once."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from redis.asyncio import Redis

from backend.clients.daemon import Database
from backend.pipelines.v2_streams import batch
from backend.pipelines.v2_streams.batch import BatchScripts, parse, store
from backend.pipelines.v2_streams.repair import replay_v2
from coffee_core.errors import CoffeeError
from coffee_core.keys import STREAM, STREAM_GROUP
from coffee_core.settings import Settings
from tests.integration.backend.pipelines.v2_streams.bench import (
    assert_exact,
    counters,
    drain,
    mixed,
    order,
    post,
    started,
)
from tests.integration.backend.pipelines.v2_streams.test_audit import look
from tests.integration.backend.pipelines.v2_streams.test_replay import nobody, read_and_die

ORDERS = 30


async def _consumer_removed(client: Redis) -> None:
    await read_and_die(client, "ghost", ORDERS)
    await client.xgroup_delconsumer(STREAM, STREAM_GROUP, "ghost")


async def _group_set_on(client: Redis) -> None:
    await client.xgroup_setid(STREAM, STREAM_GROUP, "$")


async def _group_set_beyond_the_end(client: Redis) -> None:
    await client.xgroup_setid(STREAM, STREAM_GROUP, "99999999999999-18446744073709551615")


async def _group_made_anew_at_the_end(client: Redis) -> None:
    await read_and_die(client, "ghost", ORDERS // 2)
    await client.xgroup_destroy(STREAM, STREAM_GROUP)
    await client.xgroup_create(STREAM, STREAM_GROUP, "$")


async def _group_of_elsewhere(client: Redis) -> None:
    """A group as a backup of another moment has it: it knows of no consumer, and says it has read it all."""
    await client.xgroup_destroy(STREAM, STREAM_GROUP)
    await client.xgroup_create(STREAM, STREAM_GROUP, "$", entries_read=7)


async def _read_without_acknowledgement(client: Redis) -> None:
    await client.xreadgroup(STREAM_GROUP, "somebody", {STREAM: ">"}, count=ORDERS, noack=True)


async def _acknowledged_by_hand(client: Redis) -> None:
    ((_, entries),) = await client.xreadgroup(STREAM_GROUP, "somebody", {STREAM: ">"}, count=ORDERS)
    await client.xack(STREAM, STREAM_GROUP, *(entry_id for entry_id, _ in entries))


SIBLINGS: list[Callable[[Redis], Awaitable[None]]] = [
    _consumer_removed,
    _group_set_on,
    _group_set_beyond_the_end,
    _group_made_anew_at_the_end,
    _group_of_elsewhere,
    _read_without_acknowledgement,
    _acknowledged_by_hand,
]
siblings = pytest.mark.parametrize("deed", SIBLINGS, ids=lambda deed: deed.__name__.strip("_"))


@siblings
async def test_they_are_named_and_a_worker_that_starts_processes_each_once(
    connection: Database, client: Redis, settings: Settings, deed: Callable[[Redis], Awaitable[None]]
) -> None:
    await started(connection, client)
    ids = await post(client, *mixed(ORDERS))
    await deed(client)
    balance = await look(settings, deep=True)
    assert balance.deep is not None
    assert (balance.in_flight, balance.lost, balance.balanced) == (ORDERS, 0, True)
    if deed is not _group_set_beyond_the_end:  # those that come later would be passed over, too
        await post(client, *mixed(3, seed=2))
    assert (balance.deep.stuck, balance.deep.stuck_ids) == (ORDERS, ids[:10])
    await drain(await started(connection, client, "test-2", batch_orders=7), client)
    await post(client, *mixed(5, seed=3))
    await drain(await started(connection, client, "test-2"), client)
    await assert_exact(connection, client, ORDERS + 5 + 3 * (deed is not _group_set_beyond_the_end))
    assert "duplicates" not in await counters(client)
    found = await look(settings, deep=True)
    assert found.deep is not None
    assert (found.deep.stuck, found.balanced) == (0, True)


@siblings
async def test_a_worker_that_runs_finds_them_by_itself(
    connection: Database,
    client: Redis,
    monkeypatch: pytest.MonkeyPatch,
    deed: Callable[[Redis], Awaitable[None]],
) -> None:
    monkeypatch.setattr("backend.pipelines.v2_streams.worker._CLAIM_EVERY_S", 0.0)
    worker = await started(connection, client)
    await post(client, *mixed(20))
    await drain(worker, client)
    await post(client, *mixed(ORDERS, seed=2))
    await deed(client)
    await drain(worker, client)
    await assert_exact(connection, client, 20 + ORDERS)


@siblings
async def test_a_replay_hands_them_to_a_running_worker_and_counts_them(
    connection: Database,
    client: Redis,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    deed: Callable[[Redis], Awaitable[None]],
) -> None:
    worker = await started(connection, client)
    await post(client, *mixed(ORDERS))
    await deed(client)

    async def none() -> int:
        return 0

    monkeypatch.setattr(worker._group, "claim_stuck", none)  # as a worker of an earlier version
    replay = asyncio.create_task(replay_v2(settings, nobody))
    while not replay.done():
        await worker.step()
    done = await replay
    assert (done.entries, done.stuck, done.consumers) == (ORDERS, ORDERS, {})
    assert done.summary.startswith(f"v2: {ORDERS} entries taken over ({ORDERS} pending nowhere) in ")
    await assert_exact(connection, client, ORDERS)


async def test_a_group_set_back_delivers_again_and_counts_nothing_twice(
    connection: Database, client: Redis
) -> None:
    worker = await started(connection, client)
    await post(client, *mixed(ORDERS))
    await read_and_die(client, "ghost", ORDERS)
    await client.xgroup_setid(STREAM, STREAM_GROUP, "0")
    await drain(worker, client)
    await client.xgroup_setid(STREAM, STREAM_GROUP, "0")
    await post(client, order())
    await drain(worker, client)
    await assert_exact(connection, client, ORDERS + 1)


async def test_what_a_stranger_claims_and_keeps_comes_back(
    connection: Database, client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "MIN_IDLE_MS", 0)
    worker = await started(connection, client)
    ids = await post(client, *mixed(ORDERS))
    await client.xclaim(STREAM, STREAM_GROUP, "stranger", 0, ids, force=True)
    await drain(worker, client)
    await assert_exact(connection, client, ORDERS)


async def test_a_worker_whose_consumer_is_removed_while_it_works_counts_each_once(
    connection: Database, client: Redis
) -> None:
    await post(client, *mixed(ORDERS))
    await started(connection, client)
    ((_, entries),) = await client.xreadgroup(STREAM_GROUP, "test-1", {STREAM: ">"}, count=ORDERS)
    in_hand = parse(entries)
    await client.xgroup_delconsumer(STREAM, STREAM_GROUP, "test-1")
    await store(connection, in_hand)
    other = await started(connection, client, "test-2")
    # The one applies its batch before the other has stored what it has taken up, and the other applies it again.
    assert await other._group.claim_stuck() == ORDERS
    taken_up = parse(await other._group.pending())
    applied = await BatchScripts(client, "test-1").apply(in_hand)
    assert (applied.counted, applied.late) == (ORDERS, 0)
    await store(connection, taken_up)
    again = await BatchScripts(client, "test-2").apply(taken_up)
    assert (again.counted, again.late) == (0, ORDERS)
    await started(connection, client, "test-2")
    await assert_exact(connection, client, ORDERS)


async def test_two_workers_take_up_each_entry_once(connection: Database, client: Redis) -> None:
    one, other = await started(connection, client, "one"), await started(connection, client, "other")
    await post(client, *mixed(ORDERS))
    await client.xgroup_setid(STREAM, STREAM_GROUP, "$")
    counts = await asyncio.gather(one._group.claim_stuck(), other._group.claim_stuck())
    assert sorted(counts) == [0, ORDERS]


async def test_entries_in_hand_or_not_yet_delivered_are_left_alone(
    connection: Database, client: Redis, settings: Settings
) -> None:
    worker = await started(connection, client)
    await post(client, *mixed(ORDERS))
    await read_and_die(client, "busy", ORDERS // 2)
    for _ in range(3):  # from the first entry on, then by the counts
        assert await worker._group.claim_stuck() == 0
    busy = await client.xpending_range(STREAM, STREAM_GROUP, "-", "+", ORDERS, "busy")
    assert len(busy) == ORDERS // 2
    found = await look(settings, deep=True)
    assert found.deep is not None
    assert found.deep.stuck == 0


async def test_many_are_taken_up_in_steps(
    connection: Database, client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "MOST_VISITED", 400)
    worker = await started(connection, client)
    await post(client, *mixed(900))
    await read_and_die(client, "busy", 900)
    await post(client, *mixed(300, seed=2))
    await client.xgroup_setid(STREAM, STREAM_GROUP, "$")
    assert [await worker._group.claim_stuck() for _ in range(4)] == [0, 0, 300, 0]


async def test_without_a_worker_a_replay_says_so_and_they_are_pending_from_then_on(
    connection: Database, client: Redis, settings: Settings
) -> None:
    worker = await started(connection, client)
    await post(client, *mixed(3))
    await client.xgroup_setid(STREAM, STREAM_GROUP, "$")
    with pytest.raises(CoffeeError, match=r"3 of 3 entries .* does a stream-worker run"):
        await replay_v2(settings, nobody, within_s=0.3)
    assert (await client.xpending(STREAM, STREAM_GROUP))["pending"] == 3
    await drain(worker, client)
    await assert_exact(connection, client, 3)


async def test_what_was_trimmed_or_deleted_by_hand_is_lost_and_is_said(
    connection: Database, client: Redis, settings: Settings
) -> None:
    worker = await started(connection, client)
    ids = await post(client, *mixed(10))
    await read_and_die(client, "ghost", 4)
    await client.xdel(STREAM, ids[0], ids[9])
    await client.xtrim(STREAM, minid=ids[3], approximate=False)
    await client.xgroup_delconsumer(STREAM, STREAM_GROUP, "ghost")
    await drain(worker, client)
    balance = await look(settings)
    assert (balance.stored.orders, balance.lost, balance.in_flight, balance.balanced) == (6, 4, 0, False)
