"""The client's own list of what it attempted and what was answered, and what the two stores say."""

import asyncio
import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import aiohttp
from redis.asyncio import Redis

from coffee_core.clock import from_datetime, to_datetime
from coffee_core.keys import MetricKeys
from coffee_core.menu import DRINKS, STORES
from coffee_core.money import from_cents
from coffee_core.order import parse_timestamp_us
from coffee_core.pipelines import Pipeline
from coffee_core.pipelines.constants import V3
from coffee_core.settings import Settings
from coffee_core.totals import Totals
from tests.database import connected
from tests.e2e.lab import Lab
from tests.waiting import until

CONCURRENCY = 32


@dataclass(frozen=True, slots=True)
class Attempt:
    """One POST, and the status it must be answered with."""

    key: UUID
    body: dict[str, Any]
    status: int
    dead_letter: int | None = None
    """The status where an order may be taken although its key is another's: it becomes a dead letter."""


@dataclass(frozen=True, slots=True)
class Row:
    """One stored order: what the client can know of it."""

    drink: str
    store: str
    price_cents: int
    ordered_at_us: int


def mixed_attempts(pipeline: Pipeline, count: int, seed: int) -> list[Attempt]:
    """Return `count` POSTs: distinct orders, 5 % repeats of earlier ones, 1 % malformed, 1 % conflicting.

    A repeat and a conflict name the key of an order before them in the list.
    """
    dice = random.Random(seed)
    accepted = pipeline.info.accepted_status
    # The time of order is unique: one intent stored under two ids would show.
    times_us = itertools.count(1_750_000_000_000_000 + seed * 10_000_000_000, 1_000_003)
    attempts: list[Attempt] = []
    distinct: list[Attempt] = []
    while len(attempts) < count:
        throw = dice.random()
        body = {
            "drink": dice.choice(DRINKS),
            "store": dice.choice(STORES),
            "price": float(from_cents(dice.randint(100, 1_000)).replace(",", "")),
            "timestamp": to_datetime(next(times_us)).isoformat(),
        }
        if throw < 0.05 and distinct:
            attempts.append(dice.choice(distinct))
        elif throw < 0.06:
            spoilt = dict(
                body, **dice.choice([{"drink": "tea"}, {"price": -1}, {"timestamp": "2025-01-15T10:00:00"}])
            )
            attempts.append(Attempt(uuid4(), spoilt, 422))
        elif throw < 0.07 and distinct:
            # v3 does without Redis where that does not answer at once, on a busy machine: its job compares again.
            taken = accepted if pipeline == V3 else None
            attempts.append(Attempt(dice.choice(distinct).key, body, 422, taken))
        else:
            distinct.append(Attempt(UUID(int=dice.getrandbits(128), version=4), body, accepted))
            attempts.append(distinct[-1])
    return attempts


def expected_rows(attempts: Sequence[Attempt]) -> dict[UUID, Row]:
    """Return the rows that must be there once everything is through."""
    return {
        attempt.key: Row(
            attempt.body["drink"],
            attempt.body["store"],
            round(attempt.body["price"] * 100),
            parse_timestamp_us(attempt.body["timestamp"]),
        )
        for attempt in attempts
        if attempt.status < 300
    }


async def post_all(
    settings: Settings,
    pipeline: Pipeline,
    attempts: Sequence[Attempt],
    at_half: Callable[[], Any] | None = None,
) -> None:
    """Send everything, CONCURRENCY at a time, and check every answer; half-way through call `at_half`.

    What repeats or contradicts an order is sent once the attempt before it under its key has been answered: two at
    a time may be refused, 409.
    """
    url = f"{settings.api_url}/api/{pipeline}/order"
    places = iter(enumerate(attempts))
    answered = [asyncio.Event() for _ in attempts]
    before = _places_before(attempts)
    wrong: list[str] = []

    async def lane(session: aiohttp.ClientSession) -> None:
        for place, attempt in places:
            if place == len(attempts) // 2 and at_half is not None:
                await at_half()
            if (earlier := before.get(place)) is not None:
                await answered[earlier].wait()
            headers = {"Idempotency-Key": str(attempt.key)}
            async with session.post(url, json=attempt.body, headers=headers) as answer:
                text = await answer.text()
                if answer.status not in (attempt.status, attempt.dead_letter):
                    wrong.append(f"{attempt}: {answer.status} {text}")
            answered[place].set()

    timeout = aiohttp.ClientTimeout(total=20)
    async with aiohttp.ClientSession(timeout=timeout) as session, asyncio.TaskGroup() as lanes:
        for _ in range(CONCURRENCY):
            lanes.create_task(lane(session))
    assert not wrong, wrong[:5]


def _places_before(attempts: Sequence[Attempt]) -> dict[int, int]:
    """Return, for each attempt that is not the first under its key, the place of the one before it."""
    newest: dict[UUID, int] = {}
    before: dict[int, int] = {}
    for place, attempt in enumerate(attempts):
        if attempt.key in newest:
            before[place] = newest[attempt.key]
        newest[attempt.key] = place
    return before


async def stored_rows(settings: Settings, pipeline: Pipeline, keys: Sequence[UUID]) -> dict[UUID, Row]:
    """Return the rows of these message ids."""
    async with connected(settings.database_url) as connection:
        rows = await connection.fetch(
            "SELECT message_id, drink, store, price_cents, ordered_at FROM orders"
            " WHERE version = $1 AND message_id = ANY($2)",
            str(pipeline),
            list(keys),
        )
    return {
        UUID(int=row["message_id"].int): Row(
            row["drink"], row["store"], row["price_cents"], from_datetime(row["ordered_at"])
        )
        for row in rows
    }


async def stored_totals(settings: Settings, pipeline: Pipeline) -> Totals:
    """Return the totals of everything in the pipeline's own partition."""
    async with connected(settings.database_url) as connection:
        groups = await connection.fetch(
            f"SELECT drink, store, count(*) AS n, sum(price_cents) AS cents FROM orders_{pipeline} GROUP BY 1, 2"
        )
    return Totals.of_groups((row["drink"], row["store"], row["n"], row["cents"]) for row in groups)


async def shown_totals(settings: Settings, pipeline: Pipeline) -> Totals:
    """Return what the six metric keys say, in one consistent read."""
    keys = MetricKeys(pipeline)
    redis: Redis = Redis.from_url(settings.redis_url, decode_responses=True)
    async with redis, redis.pipeline(transaction=True) as read:
        read.get(keys.total_orders).get(keys.total_revenue)
        read.hgetall(keys.drink_counts).hgetall(keys.drink_revenue)
        read.hgetall(keys.store_counts).hgetall(keys.store_revenue)
        orders, cents, *hashes = await read.execute()
    drinks, stores = dict.fromkeys(DRINKS, 0), dict.fromkeys(STORES, 0)
    full = [
        menu | {name: int(value) for name, value in each.items()}
        for menu, each in zip((drinks, drinks, stores, stores), hashes, strict=True)
    ]
    return Totals(int(orders or 0), int(cents or 0), *full)


async def in_step(lab: Lab, at_least: int) -> Totals:
    """Wait until rows and metrics of v3 agree, and return them."""

    async def agrees() -> bool:
        stored, shown = await stored_totals(lab.settings, V3), await shown_totals(lab.settings, V3)
        return stored == shown and shown.orders >= at_least

    await until(agrees, within_s=120)
    return await shown_totals(lab.settings, V3)
