"""The audit of v3's windows: each against the rows, late orders too."""

from dataclasses import replace

from redis.asyncio import Redis

from backend.pipelines.balance import as_json, as_table
from coffee_core.clock import now_us
from coffee_core.order import Order
from coffee_core.windows import KEPT_S, WINDOW_S, starts, window_of
from tests.integration.backend.pipelines.job import KEYS, Job
from tests.integration.backend.pipelines.v2_streams.bench import mixed

MINUTE = WINDOW_S * 1_000_000


def spread() -> list[Order]:
    """Orders of these minutes, two late ones (one of 2025), one from the future, one of an expired window."""
    now = now_us()
    times = [
        (now - 4 * MINUTE, now - 4 * MINUTE),
        (now - 4 * MINUTE, now - 4 * MINUTE + 20_000_000),
        (now - 5 * MINUTE, now - MINUTE),
        (1_736_935_200_000_000, now),
        (now + 600 * MINUTE, now - MINUTE),
        (now - KEPT_S * 2_000_000, now - KEPT_S * 2_000_000),
        (now, now),
    ]
    return [
        replace(order, ordered_at_us=ordered, accepted_at_us=accepted)
        for order, (ordered, accepted) in zip(mixed(len(times)), times, strict=True)
    ]


async def counted(job: Job) -> list[Order]:
    """Orders that were accepted, stored and shown."""
    orders = spread()
    await job.store(orders, await job.accept(*orders))
    job.show(orders)
    await job.commit()
    return orders


async def test_windows_and_late_orders_are_what_the_rows_say(job: Job, client: Redis) -> None:
    orders = await counted(job)
    balance = await job.look()
    assert balance.balanced, balance
    late = await client.hgetall(KEYS.late)  # type: ignore[misc]
    assert sum(int(count) for field, count in late.items() if field.endswith(":orders")) == 2
    future = orders[4]
    assert window_of(future.ordered_at_us, future.accepted_at_us) == starts(future.accepted_at_us, 1)[0]


async def test_an_order_too_many_in_a_window_is_named(job: Job, client: Redis) -> None:
    order = (await counted(job))[-1]
    start_s = window_of(order.ordered_at_us, order.accepted_at_us)
    assert start_s is not None
    await client.hincrby(KEYS.window(start_s), f"{order.store}:orders", 1)  # type: ignore[misc]
    balance = await job.look()
    assert not balance.balanced
    (named,) = balance.windows_off
    assert f"{order.store} +1 (0.00)" in named
    lines = as_table([balance])
    assert "windows off: 1" in lines[3]
    assert f"    windows: {named}" in lines
    assert as_json([balance])["pipelines"][0]["windows_off"] == [named]


async def test_a_window_that_is_gone_is_named(job: Job, client: Redis) -> None:
    order = (await counted(job))[-1]
    await client.delete(KEYS.window(starts(order.accepted_at_us, 1)[0]))
    (named,) = (await job.look()).windows_off
    assert f"{order.store} -1 (-{order.price_cents // 100}." in named


async def test_a_late_order_that_is_not_counted_is_named(job: Job, client: Redis) -> None:
    await counted(job)
    await client.delete(KEYS.late)
    balance = await job.look()
    assert not balance.balanced
    assert all(each.startswith("late ") for each in balance.windows_off)


async def test_what_is_on_its_way_is_no_difference(job: Job) -> None:
    orders = await counted(job)
    more = [replace(order, ordered_at_us=now_us(), accepted_at_us=now_us()) for order in mixed(3, seed=2)]
    places = await job.accept(*more)
    await job.store(more, places)
    ahead = await job.look()
    assert (ahead.balanced, ahead.in_flight) == (True, 3)
    job.show([*orders, *more])
    await job.commit()
    assert (await job.look()).balanced
