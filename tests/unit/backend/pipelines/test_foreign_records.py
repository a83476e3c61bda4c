"""What v3's audit and its repairs make of a record on the topic; the job must make the same of it (tests/e2e)."""

import pytest

from backend.pipelines.topic.records import read_order
from tests.records import Foreign, foreign_records

RECORDS = foreign_records()


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.name)
def test_a_record_is_an_order_or_none_and_never_an_error(record: Foreign) -> None:
    assert (read_order(record.value) is not None) == record.is_order


def test_the_records_have_names_of_their_own() -> None:
    assert len({record.name for record in RECORDS}) == len(RECORDS)
