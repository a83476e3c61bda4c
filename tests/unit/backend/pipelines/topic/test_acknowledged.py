"""What is kept beside a topic of how far it was acknowledged."""

import pytest

from backend.pipelines.topic.acknowledged import Kept, Mark, parse_kept, truncation
from coffee_core.errors import CoffeeError


def test_what_is_written_is_read() -> None:
    mark = Mark(41, 1_700_000_000_123)
    kept = parse_kept("k", {"3": str(mark), "0:truncated": "7", "3:truncated": "1"})
    assert kept == Kept({3: mark}, {0: 7, 3: 1})
    assert parse_kept("k", {}) == Kept({}, {})


@pytest.mark.parametrize(
    "fields",
    [{"0": "41"}, {"0": "41 x"}, {"x": "41 1"}, {"0:truncated": "-1"}, {"0:else": "1"}, {"0": "9" * 40 + " 1"}],
)
def test_what_nobody_writes_is_named(fields: dict[str, str]) -> None:
    with pytest.raises(CoffeeError, match=r"the key holds what nobody writes .* delete it"):
        parse_kept("the key", fields)


def test_the_loss_is_said_by_partition_and_as_a_sum() -> None:
    said = truncation({0: 7, 3: 1_200}, "orders")
    assert "partition 0, 3 has lost its end" in said
    assert "1,207 records that were acknowledged" in said
