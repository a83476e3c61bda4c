"""Arithmetic on tallies: differences with a sign, and reading the six metric keys."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from redis.asyncio import Redis

from coffee_core.errors import CoffeeError
from coffee_core.keys import MetricKeys
from coffee_core.menu import DRINKS, STORES
from coffee_core.tally import Tally

_HASHES = ("drink_counts", "drink_revenue", "store_counts", "store_revenue")


def difference(one: Tally, other: Tally) -> Tally:
    """Return ``one`` minus ``other``, field by field, also of fields that are on no menu."""
    return _combine(one, other, lambda a, b: a - b)


def total(one: Tally, other: Tally) -> Tally:
    """Return the sum, field by field."""
    return _combine(one, other, lambda a, b: a + b)


def _combine(one: Tally, other: Tally, by: Callable[[int, int], int]) -> Tally:
    def fields(a: Mapping[str, int], b: Mapping[str, int]) -> dict[str, int]:
        return {name: by(a.get(name, 0), b.get(name, 0)) for name in dict.fromkeys((*a, *b))}

    return Tally(
        by(one.orders, other.orders),
        by(one.revenue_cents, other.revenue_cents),
        fields(one.drink_counts, other.drink_counts),
        fields(one.drink_revenue_cents, other.drink_revenue_cents),
        fields(one.store_counts, other.store_counts),
        fields(one.store_revenue_cents, other.store_revenue_cents),
    )


def amounts(tally: Tally) -> list[int]:
    """Return every number of a tally."""
    return [
        tally.orders,
        tally.revenue_cents,
        *tally.drink_counts.values(),
        *tally.drink_revenue_cents.values(),
        *tally.store_counts.values(),
        *tally.store_revenue_cents.values(),
    ]


def is_zero(tally: Tally) -> bool:
    """Tell whether nothing is in it."""
    return not any(amounts(tally))


def shown_tally(orders: str | None, revenue: str | None, hashes: Sequence[Mapping[str, Any]]) -> Tally:
    """Make a tally of what the six keys hold, the four hashes in the order of ``MetricKeys.metrics``.

    Raises CoffeeError where a value is no whole number.
    """
    drinks, stores = dict.fromkeys(DRINKS, 0), dict.fromkeys(STORES, 0)
    full = [
        menu | {field: number(f"{name}.{field}", value) for field, value in held.items()}
        for name, menu, held in zip(_HASHES, (drinks, drinks, stores, stores), hashes, strict=True)
    ]
    return Tally(number("total_orders", orders), number("total_revenue", revenue), *full)


def number(name: str, value: Any) -> int:
    """Return what a key or field holds, 0 where it is missing. Raises CoffeeError where it is no whole number."""
    try:
        return int(value or 0)
    except ValueError as error:
        raise CoffeeError(f"{name} is no whole number: {str(value)[:40]!r}; delete it") from error


async def read_shown(client: Redis, keys: MetricKeys) -> tuple[Tally, str | None, dict[str, str]]:
    """Return the metrics, the fence and the counters of a pipeline, all of one moment.

    Raises an error of Redis, and CoffeeError where a metric is no number.
    """
    async with client.pipeline(transaction=True) as read:
        for text in (keys.total_orders, keys.total_revenue, keys.fence):
            read.get(text)
        hashes = (keys.drink_counts, keys.drink_revenue, keys.store_counts, keys.store_revenue)
        for mapping in (keys.counters, *hashes):
            read.hgetall(mapping)
        orders, revenue, fence, counters, *held = await read.execute()
    return shown_tally(orders, revenue, held), fence, counters
