"""What windows in event time show on the real stack, and what the rows say of them."""

from redis.asyncio import Redis

from backend.pipelines.windows import QUERY, arguments, of_rows
from coffee_core.clock import from_datetime
from coffee_core.keys import MetricKeys
from coffee_core.pipelines.constants import V3
from coffee_core.windows import StoreSums, window_of
from tests.database import connected
from tests.e2e.lab import Lab
from tests.e2e.truth import shown_totals, stored_totals
from tests.waiting import until

KEYS = MetricKeys(V3)
Sums = tuple[dict[int, StoreSums], StoreSums]


async def shown(lab: Lab, known: list[int]) -> Sums:
    """Return the windows and the late orders of Redis."""
    redis: Redis = Redis.from_url(lab.settings.redis_url, decode_responses=True)
    async with redis, redis.pipeline(transaction=True) as read:
        for key in (*map(KEYS.window, known), KEYS.late):
            read.hgetall(key)
        *windows, late = map(StoreSums.of_fields, await read.execute())
    return dict(zip(known, windows, strict=True)), late


async def stored(lab: Lab, known: list[int]) -> Sums:
    """Return what the rows say."""
    async with connected(lab.settings.database_url) as connection:
        return of_rows(await connection.fetch(QUERY, *arguments(V3, known)), known)


async def elsewhere(lab: Lab, known: list[int]) -> tuple[int, int]:
    """Return orders and cents of the rows in other windows: others have dated theirs as they like."""
    async with connected(lab.settings.database_url) as connection:
        rows = await connection.fetch(
            "SELECT ordered_at, accepted_at, price_cents FROM orders WHERE version = 'v3'"
        )
    starts_s = (window_of(from_datetime(row["ordered_at"]), from_datetime(row["accepted_at"])) for row in rows)
    others = [
        row["price_cents"] for row, start_s in zip(rows, starts_s, strict=True) if start_s not in {None, *known}
    ]
    return len(others), sum(others)


async def agree(lab: Lab, known: list[int], at_least: int) -> None:
    """Wait until rows, totals, windows and late orders all say the same."""

    async def agrees() -> bool:
        rows, totals = await stored_totals(lab.settings, V3), await shown_totals(lab.settings, V3)
        return rows == totals and rows.orders >= at_least and await shown(lab, known) == await stored(lab, known)

    await until(agrees, within_s=120)


async def exact(lab: Lab, known: list[int], at_least: int) -> Sums:
    """Wait until all say the same and every order is in one window, or late; return windows and late orders."""
    await agree(lab, known, at_least)
    windows, late = await shown(lab, known)
    totals = await shown_totals(lab.settings, V3)
    each = [*windows.values(), late]
    # Nothing of the lab is an hour old: all its windows are still there.
    orders, cents = await elsewhere(lab, known)
    assert sum(sums.orders for sums in each) + orders == totals.orders
    assert sum(sums.revenue_cents for sums in each) + cents == totals.revenue_cents
    return windows, late
