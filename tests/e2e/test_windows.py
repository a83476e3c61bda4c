"""Windows in event time on the real stack: every order once, in a window or late, whatever is killed."""

import asyncio
import json
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import replace
from uuid import UUID, uuid4

import aiohttp
from aiokafka import AIOKafkaProducer
from redis.asyncio import Redis

from coffee_core.clock import from_datetime, now_us, to_datetime
from coffee_core.keys import TOPIC
from coffee_core.load.orders import OrderMix, RandomOrders
from coffee_core.order import Order
from coffee_core.pipelines.constants import V3
from coffee_core.windows import MOST_MINUTES, starts, window_of
from tests.database import connected
from tests.e2e.flink_rest import active_taskmanager
from tests.e2e.lab import Lab
from tests.e2e.truth import shown_totals
from tests.e2e.windows import agree, exact
from tests.waiting import until

NOTE = "2025-01-15T10:00:00Z"


async def post(lab: Lab, timestamp: str, price: float = 5.0, store: str = "uptown") -> UUID:
    """Order a latte of v3; return its message id."""
    order = {"drink": "latte", "store": store, "price": price, "timestamp": timestamp}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{lab.settings.api_url}/api/v3/order", json=order) as answer,
    ):
        assert answer.status == 202
        return UUID((await answer.json())["message_id"])


async def accepted_at(lab: Lab, key: UUID) -> int:
    """Return when an order was accepted, once it is a row: µs since the epoch."""
    statement = "SELECT accepted_at FROM orders WHERE version = 'v3' AND message_id = $1"
    async with connected(lab.settings.database_url) as connection:
        moment = await until(lambda: connection.fetchval(statement, key), within_s=120)
    return from_datetime(moment)


async def orders_shown(lab: Lab) -> int:
    return (await shown_totals(lab.settings, V3)).orders


async def test_late_and_future_orders_count_where_they_belong_and_harm_no_other(lab: Lab) -> None:
    known = starts(now_us(), MOST_MINUTES)
    before = await orders_shown(lab)
    _, late = await exact(lab, known, before)
    future = await post(lab, "2099-01-01T00:00:00Z", 1.0, "central")
    moment = await accepted_at(lab, future)
    await post(lab, NOTE, 3.5, "southend")
    prompt = await post(lab, to_datetime(now_us()).isoformat(), 2.0, "downtown")
    moments = [moment, await accepted_at(lab, prompt)]
    known = starts(now_us(), MOST_MINUTES)
    windows, late_after = await exact(lab, known, before + 3)
    assert late_after.store_counts["southend"] == late.store_counts["southend"] + 1
    assert late_after.revenue_cents == late.revenue_cents + 350
    # The order from the future counts where it was accepted, and the one after it is not late.
    for moment, store in zip(moments, ("central", "downtown"), strict=True):
        start_s = window_of(moment, moment)
        assert start_s is not None
        assert windows[start_s].store_counts[store] >= 1


def aged(order: Order, number: int) -> Order:
    """Return an order of some minute of the last ten, a third of them too late, a few from the future."""
    accepted = order.accepted_at_us - number % 10 * 60_000_000
    lag_s = (0, 1, 300, 25, 3_600, -600, 5, 90, 60)[number % 9]
    return replace(order, accepted_at_us=accepted, ordered_at_us=accepted - lag_s * 1_000_000)


async def produce(lab: Lab, count: int, seed: int) -> None:
    """Put orders of many minutes straight on the topic, every tenth twice."""
    mix = RandomOrders(OrderMix(repeats=0, malformed=0), seed=seed)
    async with AIOKafkaProducer(bootstrap_servers=lab.settings.kafka_servers) as producer:
        for number in range(count):
            made = mix.next(V3)
            order = Order(uuid4(), made.drink, made.store, made.price_cents, made.ordered_at_us, now_us())
            order = aged(order, number)
            record = json.dumps(order.to_fields()).encode()
            for _ in range(1 + (number % 10 == 0)):
                await producer.send(TOPIC, record, str(order.message_id).encode())
            # As fast as orders come, not all at once: the job is to be killed in the middle.
            await asyncio.sleep(0.001)


async def under_load(lab: Lab, orders: int, seed: int, harm: Callable[[], Awaitable[None]]) -> int:
    """Do harm in the middle of so many orders, half of which come afterwards; return how many are to be shown."""
    before, first = await orders_shown(lab), orders // 2
    load = asyncio.create_task(produce(lab, first, seed))

    async def half_way() -> bool:
        return load.done() or await orders_shown(lab) > before + first // 2

    await until(half_way, within_s=120)
    await harm()
    await load
    await produce(lab, orders - first, seed + 1)
    return before + orders


async def test_a_killed_task_manager_leaves_every_window_exact(lab: Lab) -> None:
    async def kill() -> None:
        os.kill(lab.pid_of(await active_taskmanager(lab.settings)), signal.SIGKILL)

    await exact(lab, starts(now_us(), MOST_MINUTES), await under_load(lab, 3_000, 71, kill))
    audited = lab.coffee("audit", "--json", "--pipelines", "v3")
    assert audited.returncode == 0, audited.stdout


async def test_flushed_windows_come_back(lab: Lab) -> None:
    async def flush() -> None:
        redis: Redis = Redis.from_url(lab.settings.redis_url)
        async with redis:
            async for key in redis.scan_iter("v3:lab:windows:*"):
                await redis.delete(key)

    # The minutes of these orders: what a TaskManager has never written, one that died before may have.
    await agree(lab, starts(now_us(), 9), await under_load(lab, 2_000, 72, flush))
