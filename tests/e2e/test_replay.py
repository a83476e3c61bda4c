"""A replay counts the whole topic into empty state, and ends on the numbers it began with."""

import asyncio
import json
import os
import signal
import subprocess
from typing import Any
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from coffee_core.clock import now_us
from coffee_core.keys import TOPIC, MetricKeys
from coffee_core.order import Order
from coffee_core.pipelines.constants import V3
from coffee_core.totals import Totals
from coffee_core.windows import starts
from tests.e2e.lab import Lab
from tests.e2e.topic import keep_and_take_back, producer
from tests.e2e.truth import (
    Attempt,
    expected_rows,
    in_step,
    mixed_attempts,
    post_all,
    shown_totals,
    stored_rows,
)
from tests.e2e.windows import exact
from tests.waiting import until

KEYS = MetricKeys(V3)
WITHIN_S = 150


async def posted(lab: Lab, attempts: list[Attempt]) -> Totals:
    """Post these, wait until all of them are stored and shown, and return the totals."""
    orders = (await in_step(lab, 0)).orders + len(expected_rows(attempts))
    await post_all(lab.settings, V3, attempts)
    return await in_step(lab, orders)


def key_conflicts(lab: Lab) -> set[str]:
    """Return the places on the topic of all dead letters that are key conflicts."""
    letters = json.loads(lab.coffee("dead-letters", "v3", "--json").stdout)
    return {each["origin"] for each in letters if each["reason"] == "key-conflict"}


async def contradict(lab: Lab, orders: list[Attempt]) -> list[str]:
    """Put other orders under the ids of these straight on the topic, past the API; return where they lie."""
    places = []
    async with producer(lab) as other:
        for attempt in orders:
            order = Order(attempt.key, "latte", "uptown", 77, 1_700_000_000_000_000, now_us())
            value = json.dumps(order.to_fields()).encode()
            sent = await other.send_and_wait(TOPIC, value, str(attempt.key).encode())
            places.append(f"{sent.partition}:{sent.offset}")
    return places


async def begun(lab: Lab, *words: str) -> "asyncio.Task[subprocess.CompletedProcess[str]]":
    """Begin a command that replays, and return it once the metrics have gone."""
    running = asyncio.create_task(asyncio.to_thread(lab.coffee, *words, "--json", timeout_s=WITHIN_S))
    redis: Redis = Redis.from_url(lab.settings.redis_url)
    async with redis:

        async def is_gone() -> bool:
            return running.done() or not await redis.exists(*KEYS.metrics)

        await until(is_gone, within_s=120)
    return running


async def ended(running: "asyncio.Task[subprocess.CompletedProcess[str]]") -> dict[str, Any]:
    """Return what a replay printed."""
    done = await running
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


async def test_a_replay_ends_on_the_same_numbers_while_orders_keep_flowing(lab: Lab) -> None:
    attempts = mixed_attempts(V3, 600, seed=41)
    await posted(lab, attempts)
    # Neither what a transaction took back nor another order under a known id counts, this time either.
    await keep_and_take_back(lab, uuid4(), uuid4())
    known = key_conflicts(lab)  # other tests of this lab may have left some
    conflicts = await contradict(lab, [attempt for attempt in attempts if attempt.status < 300][:3])
    before = await in_step(lab, (await shown_totals(lab.settings, V3)).orders)
    minutes = starts(now_us(), 30)
    windows, late = await exact(lab, minutes, before.orders)
    running = await begun(lab, "replay", "v3")
    assert (await shown_totals(lab.settings, V3)).orders < before.orders
    more = mixed_attempts(V3, 300, seed=42)  # all of them late
    await post_all(lab.settings, V3, more)
    done = await ended(running)
    expected = expected_rows(more)
    after = await in_step(lab, before.orders + len(expected))
    assert after.orders == before.orders + len(expected)
    assert await stored_rows(lab.settings, V3, [attempt.key for attempt in more]) == expected
    assert done["orders"] >= before.orders
    assert key_conflicts(lab) - known == set(conflicts)
    windows_after, late_after = await exact(lab, minutes, after.orders)
    assert windows_after == windows
    assert late_after.orders == late.orders + len(expected)
    audited = lab.coffee("audit", "--deep", "--json", "--pipelines", "v3")
    assert audited.returncode == 0, audited.stdout


@pytest.mark.slow
async def test_a_drift_is_mended_by_a_replay_whose_submitter_is_killed_in_the_middle(lab: Lab) -> None:
    before = await posted(lab, mixed_attempts(V3, 100, seed=43))
    redis: Redis = Redis.from_url(lab.settings.redis_url)
    async with redis:
        await redis.incrby(KEYS.total_revenue, 7)
    compared = await asyncio.to_thread(lab.coffee, "reconcile", "v3", "--compare", "--json")
    assert compared.returncode == 1, compared.stderr
    assert json.loads(compared.stdout)["revenue_cents"] == -7
    running = await begun(lab, "reconcile", "v3")
    os.kill(lab.pid_of("flink-job"), signal.SIGKILL)
    assert (await ended(running))["mended"] is True
    assert await in_step(lab, before.orders) == before
