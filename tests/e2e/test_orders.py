"""Orders go in by HTTP; PostgreSQL and all six Redis metrics must agree, order by order and cent by cent."""

import os
import signal
from collections.abc import Awaitable, Callable

import aiohttp
import pytest

from coffee_core.pipelines import DEFAULT_PIPELINES, Pipeline
from coffee_core.pipelines.constants import V1, V2, V3
from tests.e2e.flink_rest import active_taskmanager
from tests.e2e.lab import Lab
from tests.e2e.truth import expected_rows, mixed_attempts, post_all, shown_totals, stored_rows, stored_totals
from tests.waiting import until

FOUNDING = {
    V1: {"drink": "cappuccino", "store": "downtown", "price": 4.50},
    V2: {"drink": "latte", "store": "uptown", "price": 5.00},
    V3: {"drink": "americano", "store": "central", "price": 3.50},
}


@pytest.mark.parametrize("pipeline", DEFAULT_PIPELINES)
async def test_the_founding_notes_order(lab: Lab, pipeline: Pipeline) -> None:
    before = await shown_totals(lab.settings, pipeline)
    order = FOUNDING[pipeline]
    async with aiohttp.ClientSession() as session:
        url = f"{lab.settings.api_url}/api/{pipeline}/order"
        async with session.post(url, json={**order, "timestamp": "2025-01-15T10:00:00Z"}) as answer:
            assert answer.status == pipeline.info.accepted_status, await answer.text()

    async def is_shown() -> bool:
        return (await shown_totals(lab.settings, pipeline)).orders == before.orders + 1

    await until(is_shown, within_s=120)
    after = await shown_totals(lab.settings, pipeline)
    cents = round(float(str(order["price"])) * 100)
    drink, store = str(order["drink"]), str(order["store"])
    assert after.revenue_cents - before.revenue_cents == cents
    assert after.drink_counts[drink] - before.drink_counts[drink] == 1
    assert after.drink_revenue_cents[drink] - before.drink_revenue_cents[drink] == cents
    assert after.store_counts[store] - before.store_counts[store] == 1
    assert after.store_revenue_cents[store] - before.store_revenue_cents[store] == cents
    await everything_agrees(lab, pipeline)


@pytest.mark.parametrize("pipeline", DEFAULT_PIPELINES)
async def test_two_thousand_mixed_orders(lab: Lab, pipeline: Pipeline) -> None:
    await load_and_compare(lab, pipeline, seed=1)


async def test_the_stream_worker_is_killed_half_way(lab: Lab) -> None:
    async def kill() -> None:
        os.kill(lab.pid_of("stream-worker"), signal.SIGKILL)

    await load_and_compare(lab, V2, seed=2, at_half=kill)


async def test_the_working_taskmanager_is_killed_half_way(lab: Lab) -> None:
    async def kill() -> None:
        name = await active_taskmanager(lab.settings)
        os.kill(lab.pid_of(name), signal.SIGKILL)

    await load_and_compare(lab, V3, seed=3, at_half=kill)


async def load_and_compare(
    lab: Lab, pipeline: Pipeline, seed: int, at_half: Callable[[], Awaitable[None]] | None = None
) -> None:
    """Post 2,000 mixed orders and wait until what is stored and shown is what was accepted."""
    before = await shown_totals(lab.settings, pipeline)
    attempts = mixed_attempts(pipeline, 2_000, seed)
    expected = expected_rows(attempts)
    await post_all(lab.settings, pipeline, attempts, at_half)

    async def all_are_shown() -> bool:
        return (await shown_totals(lab.settings, pipeline)).orders >= before.orders + len(expected)

    await until(all_are_shown, within_s=120)
    await everything_agrees(lab, pipeline)
    keys = [attempt.key for attempt in attempts]
    assert await stored_rows(lab.settings, pipeline, keys) == expected
    assert (await shown_totals(lab.settings, pipeline)).orders == before.orders + len(expected)


async def everything_agrees(lab: Lab, pipeline: Pipeline) -> None:
    """Wait until the six metrics are the totals of the partition: v3's two sinks flush on their own."""

    async def agrees() -> bool:
        return await stored_totals(lab.settings, pipeline) == await shown_totals(lab.settings, pipeline)

    await until(agrees, within_s=120)
