"""An order survives its way through a log, and nothing else gets past."""

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coffee_core.clock import MAX_TIME_US
from coffee_core.errors import OrderError
from coffee_core.menu import DRINKS, MAX_PRICE_CENTS, STORES
from coffee_core.order import Order

ORDERS = st.builds(
    Order,
    message_id=st.uuids(),
    drink=st.sampled_from(DRINKS),
    store=st.sampled_from(STORES),
    price_cents=st.integers(1, MAX_PRICE_CENTS),
    ordered_at_us=st.integers(0, MAX_TIME_US),
    accepted_at_us=st.integers(0, MAX_TIME_US),
)
GOOD = Order(UUID(int=1), "latte", "uptown", 450, 1, 2)


@given(ORDERS)
def test_survives_the_round_trip_as_text(order: Order) -> None:
    as_text = {name: str(value) for name, value in order.to_fields().items()}
    assert Order.from_fields(as_text) == order


@pytest.mark.parametrize("name", GOOD.to_fields())
def test_a_missing_field_is_named(name: str) -> None:
    fields = GOOD.to_fields()
    del fields[name]
    with pytest.raises(OrderError, match=name):
        Order.from_fields(fields)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("message_id", "1"),
        ("message_id", "g" * 36),
        ("drink", "tea"),
        ("drink", ""),
        ("store", "Uptown"),
        ("price_cents", "0"),
        ("price_cents", "1000001"),
        ("price_cents", "4.5"),
        ("price_cents", " 450"),
        ("price_cents", "4_50"),
        ("price_cents", "٤٥٠"),
        ("price_cents", True),
        ("price_cents", None),
        ("ordered_at_us", "-1"),
        ("ordered_at_us", str(MAX_TIME_US + 1)),
        ("accepted_at_us", "9" * 5_000),
    ],
)
def test_a_bad_field_is_named(name: str, value: Any) -> None:
    with pytest.raises(OrderError) as caught:
        Order.from_fields({**GOOD.to_fields(), name: value})
    assert caught.value.field == name


def test_a_repeat_is_the_same_order_whenever_it_was_accepted() -> None:
    repeat = Order(GOOD.message_id, "latte", "uptown", 450, 1, 999)
    other = Order(GOOD.message_id, "latte", "uptown", 451, 1, 2)
    assert repeat.same_as(GOOD)
    assert not other.same_as(GOOD)
