from itertools import chain

from hypothesis import given
from hypothesis import strategies as st

from backend.pipelines.v2_streams.batch import Batch, Entry, parse, printable
from coffee_core.clock import MAX_TIME_US
from coffee_core.ids import new_message_id
from coffee_core.menu import MAX_PRICE_CENTS
from coffee_core.order import Order

ORDER = Order(new_message_id(), "latte", "uptown", 500, 1, 2)
FIELDS = {name: str(value) for name, value in ORDER.to_fields().items()}


def _entry(entry_id: str, fields: dict[str, str]) -> Entry:
    return entry_id, list(chain.from_iterable(fields.items()))


def test_entries_are_sorted_by_what_they_hold() -> None:
    contents = [FIELDS, {}, {**FIELDS, "drink": "tea"}, FIELDS]
    batch = parse([_entry(f"1-{number}", fields) for number, fields in enumerate(contents, 1)])
    assert batch.orders.entry_ids == ["1-1", "1-4"]
    assert next(zip(*batch.orders, strict=True))[:-1] == tuple(ORDER.to_fields().values())
    assert batch.deleted == ["1-2"]
    assert [(letter.entry_id, letter.reason) for letter in batch.dead_letters] == [("1-3", "malformed")]
    assert batch.dead_letters[0].detail.startswith("drink: must be one of")
    assert batch.duplicates == []


_NUMBERS = ["0", "1", "007", "1.0", "1e3", "1E3", "-0", "+1", " 1", "1_0", "٣", "", "\udce9", "NaN", "true", "0x1"]
_BOUNDS = [MAX_PRICE_CENTS, MAX_PRICE_CENTS + 1, MAX_TIME_US, MAX_TIME_US + 1, 10**18, 2**63, 2**64]
_number = st.sampled_from([*_NUMBERS, *map(str, _BOUNDS)])
_uuid = st.sampled_from(
    [
        FIELDS["message_id"].upper(),
        FIELDS["message_id"].replace("-", ""),
        "{" + FIELDS["message_id"][1:-1] + "}",
        FIELDS["message_id"][:-1] + "-",
        "urn:uuid:" + FIELDS["message_id"],
        "0" * 36,
    ]
)
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
_text = st.sampled_from(["tea", TRACE, "Latte", "", "latte ", "\udce9", "uptown"])
_spoilt = st.fixed_dictionaries(
    {},
    optional={
        "message_id": st.one_of(_uuid, _text),
        "drink": _text,
        "store": _text,
        "price_cents": _number,
        "ordered_at_us": _number,
        "accepted_at_us": _number,
        "traceparent": _text,
    },
)
_fields = st.one_of(
    _spoilt.map(lambda changes: FIELDS | changes),
    st.sampled_from(sorted(FIELDS)).map(lambda gone: {name: FIELDS[name] for name in FIELDS if name != gone}),
)


@given(contents=st.lists(_fields, min_size=1, max_size=3))
def test_a_batch_is_read_at_once_as_strictly_as_one_entry_after_another(contents: list[dict[str, str]]) -> None:
    entries = [_entry(f"1-{number}", fields) for number, fields in enumerate(contents)]
    expected = Batch()
    for each in entries:
        # Beside one that is certainly no order, none is read with the others.
        single = parse([each, _entry("2-1", {"drink": "tea"})])
        expected.orders = expected.orders.joined(single.orders)
        expected.dead_letters += single.dead_letters[:-1]
        expected.traceparents |= single.traceparents
    assert parse(entries) == expected


def test_foreign_text_becomes_one_short_line_of_utf_8() -> None:
    assert printable("a\n b\udce9" + "x" * 1000) == "a b\\udce9" + "x" * 496
