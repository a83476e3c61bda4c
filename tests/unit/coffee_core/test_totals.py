"""Totals and breakdowns always agree."""

from hypothesis import given
from hypothesis import strategies as st

from coffee_core.menu import DRINKS, STORES
from coffee_core.order import Order
from coffee_core.totals import Tally
from tests.unit.coffee_core.test_order import ORDERS


@given(st.lists(ORDERS, max_size=50))
def test_breakdowns_add_up_to_the_totals(orders: list[Order]) -> None:
    tally = Tally.of(orders)
    assert tally.orders == len(orders)
    assert tally.revenue_cents == sum(order.price_cents for order in orders)
    for counts, cents in (
        (tally.drink_counts, tally.drink_revenue_cents),
        (tally.store_counts, tally.store_revenue_cents),
    ):
        assert sum(counts.values()) == tally.orders
        assert sum(cents.values()) == tally.revenue_cents


def test_the_whole_menu_is_there_from_the_start() -> None:
    assert tuple(Tally().drink_counts) == DRINKS
    assert tuple(Tally().store_counts) == STORES
