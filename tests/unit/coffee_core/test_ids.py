"""Message ids: UUIDv7 where the API makes them, a client's key otherwise."""

from uuid import RFC_4122, UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coffee_core.errors import OrderError
from coffee_core.ids import new_message_id
from coffee_core.order import Order, parse_idempotency_key, parse_uuid

KEY = "0190f5fe-7c1e-7abc-8def-0123456789ab"


def test_made_ids_are_version_7_distinct_and_sort_by_time() -> None:
    ids = [new_message_id() for _ in range(1_000)]
    assert {(each.version, each.variant) for each in ids} == {(7, RFC_4122)}
    assert len(set(ids)) == len(ids)
    milliseconds = [each.int >> 80 for each in ids]
    assert milliseconds == sorted(milliseconds)


@pytest.mark.parametrize("header", [KEY, f'"{KEY}"', f"  {KEY} ", KEY.upper()])
def test_a_key_is_taken_bare_or_quoted(header: str) -> None:
    assert parse_idempotency_key(header) == UUID(KEY)


@pytest.mark.parametrize(
    "header", ["", '"', '""', "abc", KEY[:-1], KEY.replace("-", ""), "{" + KEY + "}", f"urn:uuid:{KEY}"]
)
def test_anything_else_is_refused_by_the_headers_name(header: str) -> None:
    with pytest.raises(OrderError, match="Idempotency-Key"):
        parse_idempotency_key(header)


# What UUID() takes for one: it strips dashes, braces, "urn:" and "uuid:", and reads hex as int() does.
_LOOKALIKES = [
    KEY[:-2] + "_" + KEY[-1],
    KEY.replace("-", "") + "----",
    "----" + KEY.replace("-", ""),
    "+" + KEY[1:],
    "0x" + KEY[2:],
    "urn:" + KEY.replace("-", ""),
    "٠" + KEY[1:],
    "{" + KEY.replace("-", "") + "}--",
    KEY.replace("-", "")[:-4] + "--------",
    KEY + "\n",
]


@pytest.mark.parametrize("text", _LOOKALIKES)
def test_what_only_looks_like_a_uuid_is_none(text: str) -> None:
    assert parse_uuid(text) is None
    with pytest.raises(OrderError, match="Idempotency-Key"):
        parse_idempotency_key(text.replace("\n", "x"))
    with pytest.raises(OrderError, match="message_id"):
        Order.from_fields({**Order(UUID(KEY), "latte", "uptown", 450, 1, 2).to_fields(), "message_id": text})


def _by_hand(text: str) -> UUID | None:
    """Read a UUID by the grammar of RFC 9562 §4, without ``re`` and UUID's own reading; None where it is none."""
    parts = text.split("-")
    if [len(part) for part in parts] != [8, 4, 4, 4, 12]:
        return None
    value = 0
    for digit in "".join(parts):
        at = "0123456789abcdef".find(digit) if digit not in "ABCDEF" else "ABCDEF".index(digit) + 10
        if at < 0:
            return None
        value = value * 16 + at
    return UUID(int=value)


_uuids = st.uuids().map(str)
_bent = st.builds(
    lambda text, at, junk: text[:at] + junk + text[at + len(junk) :],
    _uuids,
    st.integers(0, 35),
    st.sampled_from([*"-_+ 0aFgx{}٠ａ\n", "0x", "--", "urn:", "uuid:"]),
)


@given(st.one_of(_uuids, _uuids.map(str.upper), _bent, st.sampled_from(_LOOKALIKES), st.text(max_size=40)))
def test_every_text_is_read_as_by_hand(text: str) -> None:
    assert parse_uuid(text) == _by_hand(text)
