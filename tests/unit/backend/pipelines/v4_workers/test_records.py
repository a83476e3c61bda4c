"""What a record of v4 is: the same by itself as among others, and the same as for every reader of a topic."""

import pytest
from aiokafka.structs import ConsumerRecord

from backend.pipelines.topic.records import encode_order, read_order
from backend.pipelines.v4_workers.records import Record, parse
from coffee_core.order import Order
from tests.records import Foreign, foreign_records

RECORDS = foreign_records()


def record(value: bytes | None, offset: int = 0) -> Record:
    return ConsumerRecord("orders-v4", 0, offset, 0, 0, b"", value, None, 0, 0, ())


@pytest.mark.parametrize("foreign", RECORDS, ids=lambda each: each.name)
def test_a_record_is_what_it_is_to_every_reader(foreign: Foreign) -> None:
    orders, letters = parse([record(foreign.value)])
    assert (len(orders), len(letters)) == (int(foreign.is_order), int(not foreign.is_order))
    expected = read_order(foreign.value)
    if expected is not None:
        (order,) = orders.orders
        fields = ("message_id", "drink", "store", "price_cents", "ordered_at_us", "accepted_at_us")
        assert [getattr(order, name) for name in fields] == [getattr(expected, name) for name in fields]


def test_it_does_not_depend_on_what_it_comes_with() -> None:
    records = [record(each.value, offset) for offset, each in enumerate(RECORDS)]
    orders, letters = parse(records)
    assert [each.offset for each in orders.records] == [at for at, each in enumerate(RECORDS) if each.is_order]
    assert [letter.record.offset for letter in letters] == [
        at for at, each in enumerate(RECORDS) if not each.is_order
    ]


def test_what_the_api_writes_is_decoded_the_short_way() -> None:
    expected = next(order for each in RECORDS if (order := read_order(each.value)) is not None)
    (order,) = parse([record(encode_order(expected))])[0].orders
    assert order.message_id == expected.message_id
    assert not isinstance(order, Order), "twelve microseconds the long way, one the short way"
