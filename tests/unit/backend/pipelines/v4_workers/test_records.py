"""What a record of v4 is: the same by itself as among others, and the same as for every reader of a topic."""

import pytest
from aiokafka.structs import ConsumerRecord

from backend.pipelines.topic.records import read_order
from backend.pipelines.v4_workers.records import Record, parse
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
