"""The two groups go their own ways, and what is shown is in the end what is stored: nothing more, nothing less."""

import asyncio
import contextlib
import random
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from backend.clients.daemon import Database
from backend.pipelines.balance import NOTHING, is_zero
from backend.pipelines.v4_workers.member import NotOursError
from backend.pipelines.v4_workers.reconcile import PACKAGE, SCRIPT_KEYS, read_stored, reconcile, take_cut
from backend.pipelines.v4_workers.records import DeadLetter
from backend.pipelines.v4_workers.worker import Store, open_session
from coffee_core.ids import new_message_id
from coffee_core.keys import MetricKeys
from coffee_core.latency import MAX_BUCKET
from coffee_core.order import Order
from coffee_core.pipelines.constants import V4
from coffee_core.resources import lua, sql
from coffee_core.tasks import end_tasks
from tests.integration.backend.pipelines.v2_streams.bench import mixed
from tests.integration.backend.pipelines.v4_workers.groups import HORIZON_MS, Groups
from tests.waiting import until

GARBAGE = (b"not json", None, b"[]", b"{}", b"\xff\xfe", b'{"message_id":"x"}')


def changed(order: Order) -> Order:
    """Return another order under the same message id."""
    return replace(order, drink="latte" if order.drink != "latte" else "americano", price_cents=999)


async def test_orders_repeats_and_what_can_never_be_stored_need_no_reconciliation(
    groups: Groups, client: Redis
) -> None:
    await groups.count_for_long()
    orders = mixed(30)
    await groups.both(
        groups.put(0, *orders[:20], *GARBAGE, orders[3], changed(orders[4])),
        groups.put(1, *orders[20:], orders[25]),
    )
    assert await groups.shown() == 30
    assert is_zero(await groups.drift())
    done = await read_stored(groups.connection)
    assert (done.records, done.duplicates, done.dead, done.doubts) == (39, 2, 7, 0)
    cut = await take_cut(client)
    # An aggregator calls every known id a repeat: it compares no orders.
    assert (cut.number("duplicates"), cut.number("dead"), cut.offsets) == (3, 6, {0: 28, 1: 11})
    assert set(groups.letters) == {f"0:{offset}" for offset in (*range(20, 26), 27)}
    assert groups.letters["0:27"] == "key-conflict"


async def test_a_zombie_a_rebalance_and_a_replayed_batch_do_nothing(groups: Groups) -> None:
    first, second = groups.put(0, *mixed(5)), groups.put(0, *mixed(5, seed=2))
    await groups.both(first)
    for late in (first, groups.portion(0, 3, 7), groups.portion(0, 0, 10), groups.portion(0, 6, 10)):
        with pytest.raises(NotOursError):
            await groups.store(late)
        with pytest.raises(NotOursError):
            await groups.count(late)
    await groups.both(second)
    assert await groups.shown() == 10
    assert is_zero(await groups.drift())


async def test_a_rebalance_may_ask_for_positions_while_a_batch_is_stored(groups: Groups) -> None:
    storing = groups.store(groups.put(0, *mixed(600)))
    _, positions = await asyncio.gather(storing, groups.worker.positions([0]))
    assert positions[0].next_offset == 600


async def test_of_several_partitions_only_those_that_are_another_ones_are_refused(groups: Groups) -> None:
    lost, ours = groups.put(0, *mixed(3)), groups.put(1, *mixed(4, seed=2))
    await groups.both(lost)
    with pytest.raises(NotOursError):
        await groups.count(lost, ours)
    with pytest.raises(NotOursError):
        await groups.store(lost, ours)
    assert await groups.shown() == 7, "the other partition is counted all the same"
    assert (await read_stored(groups.connection)).records == 3, "a transaction is one"
    await groups.store(ours)
    assert is_zero(await groups.drift())


async def test_one_id_on_two_partitions_is_what_the_table_says_whoever_was_first(groups: Groups) -> None:
    (order,) = mixed(1)
    one, other = groups.put(0, order), groups.put(1, changed(order))
    await groups.store(one)
    await groups.count(other)
    await groups.store(other)
    # Not yet: the aggregator has still to meet the record that was stored.
    assert await reconcile(groups.connection, groups.client) is None
    await groups.count(one)
    assert not is_zero(await groups.drift())
    assert is_zero(await groups.reconciled())
    await groups.both(groups.put(0, order), groups.put(1, changed(order)))
    assert is_zero(await groups.reconciled())


async def test_a_repeat_after_the_horizon_is_taken_out_again(
    groups: Groups, connection: Database, client: Redis
) -> None:
    short = Groups(connection, client, horizon_ms=1)
    (order,) = mixed(1)
    await short.both(short.put(0, order))
    # Two generations later, and accepted that much later, too.
    late = replace(order, accepted_at_us=order.accepted_at_us + 2_000)
    for other in mixed(2, seed=5):
        await client.hset(MetricKeys(V4).counters, "ids_since_us", 0)  # type: ignore[misc]
        await short.both(short.put(0, other))
    await short.both(short.put(0, late))
    assert (await short.drift()).orders == 1
    assert is_zero(await short.reconciled())
    assert await short.shown() == 3


async def test_what_the_table_refuses_is_not_shown_until_it_is_stored_after_all(groups: Groups) -> None:
    orders = mixed(40)
    bad = replace(orders[7], price_cents=777)
    orders[7] = bad
    await groups.connection.execute("alter table orders_v4 add constraint odd check (price_cents <> 777)")
    await groups.both(groups.put(0, *orders))
    assert (await groups.drift()).orders == 1
    assert is_zero(await groups.reconciled())
    assert await groups.shown() == 39
    # Once more, while it is still refused, and then mended: under its own id, as a client or `--requeue` sends it.
    await groups.both(groups.put(0, bad))
    assert is_zero(await groups.reconciled())
    await groups.connection.execute("alter table orders_v4 drop constraint odd")
    await groups.both(groups.put(0, bad))
    assert is_zero(await groups.reconciled())
    assert await groups.shown() == 40
    await groups.both(groups.put(0, bad))
    assert is_zero(await groups.reconciled())


async def test_an_order_that_is_stored_before_its_id_is_forgotten_is_shown(groups: Groups) -> None:
    (bad,) = [replace(order, price_cents=777) for order in mixed(1)]
    await groups.connection.execute("alter table orders_v4 add constraint odd check (price_cents <> 777)")
    await groups.both(groups.put(0, bad))
    await groups.connection.execute("alter table orders_v4 drop constraint odd")
    await groups.both(groups.put(0, bad))
    assert is_zero(await groups.reconciled())
    assert await groups.shown() == 1


async def test_an_order_that_was_refused_and_met_again_in_a_replay_is_shown_once_it_is_stored(
    groups: Groups, client: Redis
) -> None:
    await groups.count_for_long()
    orders = mixed(5)
    orders[3] = replace(orders[3], price_cents=777)
    await groups.connection.execute("alter table orders_v4 add constraint odd check (price_cents <> 777)")
    await groups.both(groups.put(0, *orders))
    assert is_zero(await groups.reconciled())
    await client.register_script(lua(PACKAGE, "replay"))(keys=SCRIPT_KEYS)
    await groups.count(groups.portion(0, 0, 5))
    assert is_zero(await groups.reconciled())
    assert await groups.shown() == 4
    await groups.connection.execute("alter table orders_v4 drop constraint odd")
    await groups.both(groups.put(0, orders[3]))
    assert is_zero(await groups.reconciled())
    assert await groups.shown() == 5


async def test_a_letter_that_is_sent_again_after_the_horizon_is_taken_out_again(
    groups: Groups, client: Redis
) -> None:
    await groups.count_for_long()
    (order,) = mixed(1)
    await groups.both(groups.put(0, order))
    # Days later, when its id is forgotten, with the time at which it was accepted first.
    await groups.connection.execute("update orders_v4 set stored_at = stored_at - interval '3 days'")
    await client.delete(*MetricKeys(V4).ids)
    await groups.both(groups.put(0, order))
    assert await groups.shown() == 2
    assert is_zero(await groups.reconciled())
    assert await groups.shown() == 1


class Hanging:
    """A letter box whose broker does not answer."""

    async def send(self, letters: Sequence[DeadLetter]) -> None:
        if letters:
            await asyncio.Event().wait()


async def test_a_worker_that_is_frozen_within_its_transaction_gives_way(
    groups: Groups, database_url: str, client: Redis
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        session = await open_session(database_url)
        stack.callback(session.terminate)
        assert await session.fetchval("show idle_in_transaction_session_timeout") == "10s"
        await session.execute("set idle_in_transaction_session_timeout = '200ms'")
        batch = groups.put(0, *mixed(5), b"not json")
        frozen = asyncio.create_task(Store(session, client, Hanging(), HORIZON_MS).process([batch]))
        stack.push_async_callback(end_tasks, frozen)
        await until(lambda: _locks_a_line(groups.connection))
        await groups.both(batch)
        await groups.both(groups.put(0, *mixed(3, seed=4)))
    assert await groups.reconciled() == NOTHING
    assert await groups.shown() == 8


async def _locks_a_line(connection: Database) -> bool:
    found = await connection.fetch("select from orders_v4_offsets where partition = 0 for update skip locked")
    return not found


async def test_of_a_batch_that_cannot_be_counted_whole_nothing_is(groups: Groups, client: Redis) -> None:
    keys, batch = MetricKeys(V4), groups.put(0, *mixed(3))
    await client.hset(keys.latency, mapping=dict.fromkeys(range(MAX_BUCKET + 1), "no number"))  # type: ignore[misc]
    with pytest.raises(ResponseError, match=r"latency \d+ is no whole number; delete it"):
        await groups.count(batch)
    assert not await client.exists(keys.offsets, *keys.ids, *keys.metrics)
    await client.delete(keys.latency)
    await groups.count(batch)
    assert await groups.shown() == 3


async def test_deleted_metrics_come_back_from_the_table(groups: Groups, client: Redis) -> None:
    await groups.both(groups.put(0, *mixed(20)))
    await client.delete(*MetricKeys(V4).metrics)
    await groups.both(groups.put(0, *mixed(5, seed=2)))
    assert is_zero(await groups.reconciled())
    assert await groups.shown() == 25


async def test_after_a_flush_of_everything_the_topic_is_counted_from_its_beginning(
    groups: Groups, client: Redis
) -> None:
    first = groups.put(0, *mixed(20))
    await groups.both(first)
    await client.flushall()
    second = groups.put(0, *mixed(5, seed=2))
    await groups.store(second)
    with pytest.raises(NotOursError):
        await groups.count(second)
    assert await groups.aggregator.positions([0]) == {0: (0, "")}
    await groups.count(groups.portion(0, 0, 25))
    assert is_zero(await groups.reconciled())
    assert await groups.shown() == 25


async def test_an_order_whose_record_the_topic_has_lost_may_be_sent_again(groups: Groups, client: Redis) -> None:
    orders = mixed(6)
    await groups.both(groups.put(0, *orders))
    # A power cut has taken the topic, and a replay begins again: the rows are there, nobody remembers the ids.
    await groups.connection.execute(sql(PACKAGE, "begin_again"), [0])
    groups.lose_topic()
    await client.register_script(lua(PACKAGE, "replay"))(keys=SCRIPT_KEYS)
    await groups.both(groups.put(0, *mixed(6, seed=2)))
    assert is_zero(await groups.reconciled())
    await groups.both(groups.put(0, orders[2], orders[5]))
    assert (await groups.drift()).orders == 2
    assert await groups.doubts() == 2, "by which an aggregator reconciles"
    assert is_zero(await groups.reconciled())
    assert await groups.shown() == 12


async def test_a_replay_refuses_what_is_in_hand_and_ends_on_the_same_numbers(
    groups: Groups, client: Redis
) -> None:
    orders = mixed(30)
    await groups.both(groups.put(0, *orders, orders[0], changed(orders[1])))
    before = (await take_cut(client)).shown
    late = await client.hgetall(MetricKeys(V4).latency)  # type: ignore[misc]
    in_hand = groups.put(0, *mixed(3, seed=9))
    await client.register_script(lua(PACKAGE, "replay"))(keys=SCRIPT_KEYS)
    with pytest.raises(NotOursError):
        await groups.count(in_hand)
    assert await groups.shown() == 0
    await groups.count(groups.portion(0, 0, 10))
    await groups.count(groups.portion(0, 10, 32))
    assert (await take_cut(client)).shown == before
    assert await client.hgetall(MetricKeys(V4).latency) == late, "measured when they were first shown"  # type: ignore[misc]
    await groups.both(in_hand)
    assert is_zero(await groups.drift())


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_order_the_groups_meet_the_partitions_in(groups: Groups, seed: int) -> None:
    dice = random.Random(seed)
    orders = mixed(12, seed)
    refusing = "alter table orders_v4 add constraint odd check (price_cents <> 999 or drink <> 'latte')"
    await groups.connection.execute(refusing)
    queues: dict[str, list[tuple[int, int, int]]] = {"store": [], "count": []}
    for partition in range(3):
        values = [dice.choice((one, changed(one))) for one in dice.choices(orders, k=20)]
        groups.put(partition, *values, replace(orders[0], message_id=new_message_id()))
        for queue in queues.values():
            cuts = sorted({0, 21, *dice.choices(range(21), k=3)})
            queue += [(partition, first, last) for first, last in pairwise(cuts)]
    steps = [(name, portion) for name, queue in queues.items() for portion in _shuffled(dice, queue)]
    for name, portion in _merged(dice, steps):
        await getattr(groups, name)(groups.portion(*portion))
        if dice.random() < 0.2:
            await reconcile(groups.connection, groups.client)
    assert await groups.reconciled() == NOTHING


def _shuffled(dice: random.Random, queue: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Return the portions in any order that keeps those of one partition in theirs."""
    waiting = {partition: [each for each in queue if each[0] == partition] for partition in range(3)}
    merged = []
    while any(waiting.values()):
        merged.append(waiting[dice.choice([partition for partition, left in waiting.items() if left])].pop(0))
    return merged


def _merged(
    dice: random.Random, steps: list[tuple[str, tuple[int, int, int]]]
) -> list[tuple[str, tuple[int, int, int]]]:
    """Return the steps of both groups in any order that keeps those of one group in theirs."""
    waiting = {name: [step for step in steps if step[0] == name] for name in ("store", "count")}
    merged = []
    while any(waiting.values()):
        merged.append(waiting[dice.choice([name for name, left in waiting.items() if left])].pop(0))
    return merged
