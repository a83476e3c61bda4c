"""What is said of orders that wait survives the way through Redis; what is no standstill is refused."""

import pytest

from coffee_core.standstill import Standstill


def test_a_standstill_is_read_as_it_was_written() -> None:
    said = Standstill("no checkpoint can be read: é “…”", "`coffee replay v3` counts the topic anew")
    assert Standstill.from_json(said.to_json().encode()) == said


@pytest.mark.parametrize("text", ["", "{", "[]", "1", '{"reason": "x"}', b"\xff"])
def test_anything_else_is_refused(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        Standstill.from_json(text)
