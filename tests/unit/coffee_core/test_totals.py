"""Totals and breakdowns always agree."""

from hypothesis import given
from hypothesis import strategies as st

from coffee_core.menu import DRINKS, STORES
from coffee_core.order import Order
from coffee_core.totals import PipelineCounts, Totals
from tests.unit.coffee_core.test_order import ORDERS


@given(st.lists(ORDERS, max_size=50))
def test_breakdowns_add_up_to_the_totals(orders: list[Order]) -> None:
    totals = Totals.of(orders)
    assert totals.orders == len(orders)
    assert totals.revenue_cents == sum(order.price_cents for order in orders)
    for counts, cents in (
        (totals.drink_counts, totals.drink_revenue_cents),
        (totals.store_counts, totals.store_revenue_cents),
    ):
        assert sum(counts.values()) == totals.orders
        assert sum(cents.values()) == totals.revenue_cents


def test_the_whole_menu_is_there_from_the_start() -> None:
    assert tuple(Totals().drink_counts) == DRINKS
    assert tuple(Totals().store_counts) == STORES


def test_counts_keep_their_keys_in_json() -> None:
    counts = PipelineCounts(9, 8, 7, None, 3, 2, 1, 0, -1)
    raw = counts.as_json()
    assert list(raw) == [
        "accepted",
        "stored",
        "shown",
        "in_flight",
        "duplicates",
        "dead",
        "lost",
        "duplicated",
        "drift",
    ]
    assert (raw["duplicates"], raw["dead"]) == (counts.duplicates_dropped, counts.dead_letters) == (3, 2)
    assert PipelineCounts.from_json(raw) == counts
