from backend.stream_worker.entries import parse, printable
from coffee_core.ids import new_message_id
from coffee_core.order import Order

ORDER = Order(new_message_id(), "latte", "uptown", 500, 1, 2)
FIELDS = {name: str(value) for name, value in ORDER.to_fields().items()}


def test_entries_are_sorted_by_what_they_hold() -> None:
    batch = parse([("1-1", FIELDS), ("1-2", {}), ("1-3", {**FIELDS, "drink": "tea"}), ("1-4", FIELDS)])
    assert [(each.entry_id, each.order) for each in batch.placed] == [("1-1", ORDER), ("1-4", ORDER)]
    assert batch.gone == ["1-2"]
    assert [(letter.entry_id, letter.reason) for letter in batch.dead] == [("1-3", "malformed")]
    assert batch.dead[0].detail.startswith("drink: must be one of")
    assert batch.duplicates == []


def test_foreign_text_becomes_one_short_line_of_utf_8() -> None:
    assert printable("a\n b\udce9" + "x" * 1000) == "a b\\udce9" + "x" * 496
