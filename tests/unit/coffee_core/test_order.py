"""An order survives its way through a log, and nothing else gets past."""

import json
import string
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coffee_core.clock import MAX_TIME_US
from coffee_core.errors import OrderError
from coffee_core.menu import DRINKS, MAX_PRICE_CENTS, STORES
from coffee_core.order import Order, parse_idempotency_key, parse_price, parse_uuid

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


_HEX = st.text("0123456789abcdefABCDEF", min_size=3, max_size=13)
_NEARLY_UUIDS = st.one_of(
    st.uuids().map(str),
    st.uuids().map(lambda one: str(one).upper()),
    st.lists(st.one_of(_HEX, st.text("0123456789abcdef٣_+x {}", max_size=12)), min_size=4, max_size=6).map(
        "-".join
    ),
    st.builds(
        lambda one, at, more: f"{str(one)[:at]}{more}{str(one)[at + 1 :]}",
        st.uuids(),
        st.integers(0, 35),
        st.text("0g-_+ ٣x{}\n\u00a0", max_size=2),
    ),
)


def _is_uuid_by_hand(text: str) -> bool:
    """RFC 9562 §4, a second time: five groups of hexadecimal digits, 8-4-4-4-12."""
    groups = text.split("-")
    return [len(group) for group in groups] == [8, 4, 4, 4, 12] and set(text) <= {*string.hexdigits, "-"}


@given(_NEARLY_UUIDS)
def test_a_uuid_is_what_the_rfc_says(text: str) -> None:
    found = parse_uuid(text)
    assert (found is not None) is _is_uuid_by_hand(text)
    assert found is None or str(found) == text.lower()


@given(_NEARLY_UUIDS, st.text(' \t"\u00a0\u2003\n', max_size=2), st.text(' \t"\u00a0\u2003\n', max_size=2))
def test_a_key_has_only_the_blanks_and_quotes_of_http_around_it(text: str, before: str, after: str) -> None:
    header = f"{before}{text}{after}"
    bare = header.strip(" \t")
    quoted = len(bare) > 1 and bare.startswith('"') and bare.endswith('"')
    if _is_uuid_by_hand(bare[1:-1] if quoted else bare):
        assert str(parse_idempotency_key(header)) == (bare[1:-1] if quoted else bare).lower()
    else:
        with pytest.raises(OrderError, match="Idempotency-Key"):
            parse_idempotency_key(header)


@given(st.from_regex(r"\A-?(0|[1-9][0-9]{0,7})(\.[0-9]{1,6})?([eE][+-]?[0-9]{1,3})?\Z", fullmatch=True))
def test_a_price_is_what_fractions_say(text: str) -> None:
    """By a second arithmetic: whole cents from 1 to the highest price, however JSON writes the number."""
    cents = Fraction(text) * 100
    price = json.loads(text, parse_float=Decimal, parse_int=Decimal)
    if cents.denominator == 1 and 1 <= cents <= MAX_PRICE_CENTS:
        assert parse_price(price) == cents
    else:
        with pytest.raises(OrderError, match="price"):
            parse_price(price)
