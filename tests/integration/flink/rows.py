"""What the job hands to its Redis functions, made of orders, and its writers at work."""

from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing
from typing import Any

from coffee_core.menu import DRINKS, STORES
from coffee_core.order import Order
from coffee_core.totals import Totals
from coffee_core.windows import window_of
from flink.redis_sink import SHOWN, RedisTotals, RedisWindows

LANES = 4
"""Partitions of the topic."""


def tally_row(orders: Sequence[Order], repeats: int = 0, dead: int = 0) -> tuple[Any, ...]:
    """Return the row of totals of these orders; every lane has come to the latest acceptance."""
    totals = Totals.of(orders)
    late = Totals.of(order for order in orders if window_of(order.ordered_at_us, order.accepted_at_us) is None)
    drinks = [cell for name in DRINKS for cell in (totals.drink_counts[name], totals.drink_revenue_cents[name])]
    accepted = [order.accepted_at_us for order in orders]
    counters = (str(sum(accepted)), len(orders) + repeats, dead)
    return (
        *(totals.orders, totals.revenue_cents, *drinks, *_of_stores(totals), *counters),
        *(*_of_stores(late), *[max(accepted, default=0)] * LANES),
    )


def window_rows(orders: Sequence[Order]) -> list[tuple[int, ...]]:
    """Return a row for each window that has one of these orders."""
    by_window: dict[int, list[Order]] = defaultdict(list)
    for order in orders:
        start_s = window_of(order.ordered_at_us, order.accepted_at_us)
        if start_s is not None:
            by_window[start_s].append(order)
    return [(start_s, *_of_stores(Totals.of(in_window))) for start_s, in_window in by_window.items()]


def _of_stores(totals: Totals) -> list[int]:
    return [cell for name in STORES for cell in (totals.store_counts[name], totals.store_revenue_cents[name])]


def show(redis_url: str, orders: Sequence[Order], repeats: int = 0, dead: int = 0, epoch: str = "1") -> None:
    """Show totals and windows of these orders."""
    with closing(RedisTotals(redis_url, epoch)) as sink, closing(RedisWindows(redis_url, epoch)) as windows:
        assert sink.show(tally_row(orders, repeats, dead)) == SHOWN
        for row in window_rows(orders):
            assert windows.show(row) == SHOWN
