"""Prices become cents exactly, or are refused by name."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coffee_core.errors import OrderError
from coffee_core.money import from_cents
from coffee_core.order import parse_price


@given(st.integers(1, 1_000_000))
def test_every_price_in_cents_survives_the_round_trip(cents: int) -> None:
    assert parse_price(Decimal(cents).scaleb(-2)) == cents


@pytest.mark.parametrize(
    ("text", "cents"), [("4.50", 450), ("4.5", 450), ("5", 500), ("1E+3", 100_000), ("0.01", 1), ("4.500", 450)]
)
def test_spellings_of_a_price(text: str, cents: int) -> None:
    assert parse_price(Decimal(text)) == cents


@pytest.mark.parametrize(
    "text",
    ["0", "-1", "0.001", "4.505", "10000.01", "1E+999999", "1E-999999", "NaN", "-Infinity", "sNaN"],
)
def test_a_price_that_is_none_is_refused_by_its_field(text: str) -> None:
    with pytest.raises(OrderError) as caught:
        parse_price(Decimal(text))
    assert caught.value.field == "price"


@pytest.mark.parametrize(("cents", "text"), [(0, "0.00"), (450, "4.50"), (123_450, "1,234.50"), (-5, "-0.05")])
def test_cents_are_written_with_separators(cents: int, text: str) -> None:
    assert from_cents(cents) == text
