"""The body of an order: what is read from it, and what is refused with which problem."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.api.parsing import parse
from backend.api.problems import ProblemError
from coffee_core.order import Content
from tests.unit.backend.api.asgi import VALID


def _text(**changes: Any) -> bytes:
    return json.dumps({**VALID, **changes}).encode()


def _with_price(literal: str) -> bytes:
    return _text(price="@").replace(b'"@"', literal.encode())


def _without(name: str) -> bytes:
    return json.dumps({key: value for key, value in VALID.items() if key != name}).encode()


def test_an_order_is_read() -> None:
    assert parse(_text()) == Content("latte", "uptown", 500, 1_736_935_200_000_000)


@pytest.mark.parametrize(
    ("literal", "cents"),
    [("4.50", 450), ("4.35", 435), ("0.29", 29), ("1.1e1", 1100), ("10000", 1_000_000), ("5.000", 500)],
)
def test_a_price_is_exact(literal: str, cents: int) -> None:
    assert parse(_with_price(literal)).price_cents == cents


@given(st.integers(1, 1_000_000))
def test_no_price_goes_through_a_float(cents: int) -> None:
    assert parse(_with_price(f"{cents // 100}.{cents % 100:02d}")).price_cents == cents


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"latte",
        b'{"drink":"latte"} x',
        b"[" * 60_000,
        b'{"drink":"\xff"}',
        b'{"drink":"\\ud800"}',
        b"\xef\xbb\xbf{}",
        _with_price("NaN"),
        _with_price("05"),
        _with_price(".5"),
        _text().decode().encode("utf-16"),
    ],
    ids=repr,
)
def test_what_is_no_json_is_malformed(raw: bytes) -> None:
    with pytest.raises(ProblemError) as caught:
        parse(raw)
    assert (caught.value.type.status, caught.value.type.uri) == (400, "/problems/malformed-json")
    assert caught.value.field is None


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        (_without("drink"), "drink"),
        (_without("store"), "store"),
        (_without("price"), "price"),
        (_without("timestamp"), "timestamp"),
        (_text(drink="espresso"), "drink"),
        (_text(drink="Latte"), "drink"),
        (_text(drink=["latte"]), "drink"),
        (_text(drink=None), "drink"),
        (_text(store=""), "store"),
        (_text(store=5), "store"),
        (_text(price="5.00"), "price"),
        (_text(price=True), "price"),
        (_text(price=None), "price"),
        (_text(price=0), "price"),
        (_with_price("-0.0"), "price"),
        (_text(price=-1), "price"),
        (_with_price("0.001"), "price"),
        (_with_price("10000.01"), "price"),
        (_with_price("5.0000000000000000000000000000000001"), "price"),
        (_with_price("1e400"), "price"),
        (_with_price("1e-400"), "price"),
        (_with_price("1e99999999999999999999"), "price"),
        (_with_price("9" * 60_000), "price"),
        (_text(timestamp="2025-01-15T10:00:00"), "timestamp"),
        (_text(timestamp="2025-01-15"), "timestamp"),
        (_text(timestamp="2025-02-30T10:00:00Z"), "timestamp"),
        (_text(timestamp=1_736_935_200), "timestamp"),
        (_text()[:-1] + b',"size":"large"}', "size"),
        (_text(message_id="0190f5fe-7c1e-7abc-8def-0123456789ab"), "message_id"),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_a_bad_field_is_named(raw: bytes, field: str) -> None:
    with pytest.raises(ProblemError) as caught:
        parse(raw)
    assert (caught.value.type.status, caught.value.type.uri) == (422, "/problems/invalid-field")
    assert caught.value.field == field
    assert field in caught.value.detail


@pytest.mark.parametrize("raw", [b"[]", b"null", b'"latte"', b"5"])
def test_json_that_is_no_object_is_refused(raw: bytes) -> None:
    with pytest.raises(ProblemError, match="must be a JSON object") as caught:
        parse(raw)
    assert caught.value.type.status == 422


@pytest.mark.parametrize("again", ['"drink":"latte"', '"dr\\u0069nk":"latte"', '"price":5.0', '"timestamp":"x"'])
def test_a_field_that_is_given_twice_is_refused(again: str) -> None:
    for raw in (b"{" + again.encode() + b"," + _text()[1:], _text()[:-1] + b"," + again.encode() + b"}"):
        with pytest.raises(ProblemError) as caught:
            parse(raw)
        assert caught.value.type.status == 422


def test_an_escaped_letter_is_no_second_field() -> None:
    assert parse(_text().replace(b'"latte"', b'"l\\u0061tte"')) == parse(_text())
