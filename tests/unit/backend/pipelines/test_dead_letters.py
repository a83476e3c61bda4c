"""Under which message id a dead letter goes back."""

import json
from dataclasses import replace
from uuid import UUID

import pytest

from backend.clients.kafka import Record
from backend.pipelines.dead_letters import (
    KEY_CONFLICT,
    Letter,
    LetterError,
    choose,
    conflicting_id,
    new_message_id,
    requeued_id,
)
from backend.pipelines.topic.letters import _parse_letter, record_of
from coffee_core.clock import from_datetime, to_datetime
from coffee_core.pipelines import PIPELINES
from coffee_core.pipelines.constants import V2, V3

OWN = "0190f5fe-7c1e-7abc-8def-0123456789ab"


def letter(reason: str = "malformed", **fields: object) -> Letter:
    return Letter("2:7", "2:7", reason, "", 0, fields)


def test_a_letter_keeps_an_id_that_is_its_own() -> None:
    assert requeued_id(V2, letter(message_id=OWN), {}) is None


@pytest.mark.parametrize(
    "bad", [letter(), letter(message_id="nope"), letter(message_id=7), letter(message_id=OWN.replace("-", ""))]
)
def test_without_a_usable_id_it_gets_one_made_from_its_origin(bad: Letter) -> None:
    made = requeued_id(V2, bad, {})
    assert made == new_message_id(V2, "2:7")
    assert made is not None
    assert made.version == 5


def test_a_key_conflict_never_keeps_its_id() -> None:
    made = requeued_id(V2, letter(KEY_CONFLICT, message_id=OWN), {})
    assert made not in (None, UUID(OWN))


def test_an_order_that_was_sent_twice_under_the_key_of_another_is_one() -> None:
    dead = letter(
        KEY_CONFLICT, message_id=OWN, drink="latte", store="uptown", price_cents="500", ordered_at_us="7"
    )
    again = replace(dead, id="2:9", origin="2:9", fields={**dead.fields, "accepted_at_us": "9"})
    other = replace(dead, fields={**dead.fields, "price_cents": "501"})
    assert requeued_id(V2, dead, {}) == requeued_id(V2, again, {})
    assert requeued_id(V2, dead, {}) != requeued_id(V2, other, {})
    assert requeued_id(V2, dead, {"price_cents": "501"}) == requeued_id(V2, other, {})
    assert requeued_id(V2, dead, {}) != requeued_id(V3, dead, {})
    assert requeued_id(V2, dead, {"drink": "caf\udce9"}) is not None


def test_pipelines_and_origins_do_not_share_ids() -> None:
    ids = {new_message_id(pipeline, origin) for pipeline in PIPELINES for origin in ("0:1", "0:11", "1:1")}
    assert len(ids) == 3 * len(PIPELINES)


def test_a_record_carries_the_original_fields_and_the_repairs() -> None:
    key, value = record_of(V3, letter(message_id=OWN, drink="latte", price_cents=-5), {"price_cents": "500"})
    assert key == OWN.encode()
    assert json.loads(value) == {"message_id": OWN, "drink": "latte", "price_cents": "500"}
    _, other = record_of(V3, letter(message_id=OWN), {}, taken=True)
    assert json.loads(other)["message_id"] == str(conflicting_id(V3, {"message_id": OWN}))


def test_what_is_no_object_or_was_cut_off_cannot_go_back() -> None:
    with pytest.raises(LetterError, match="no JSON object"):
        record_of(V3, letter(), {})
    with pytest.raises(LetterError, match="cut off"):
        record_of(V3, Letter("2:7", "2:7", "x", "", 0, {"drink": "latte"}, "x" * 100_000), {})


def test_letters_are_chosen_by_id() -> None:
    one, two = letter(), Letter("2:8", "2:8", "", "", 0, {})
    assert choose([one, two], ()) == [one, two]
    assert choose([one, two], ("2:8",)) == [two]
    with pytest.raises(LetterError, match="2:9"):
        choose([one, two], ("2:9",))


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b'{"reason": "price_cents", "text": "x"}', "price_cents"),
        (None, "this letter itself cannot be read"),
        (b"[" * 100_000, "this letter itself cannot be read"),
        (b"[]", "this letter itself cannot be read"),
    ],
)
@pytest.mark.parametrize("time_ms", [-1, 0, 10**17])
def test_a_letter_of_anybody_can_be_listed(value: bytes | None, reason: str, time_ms: int) -> None:
    found = _parse_letter(Record("0:7", 0, 7, b"0:7", value, time_ms))
    assert (found.origin, found.reason) == ("0:7", reason)
    assert 0 <= from_datetime(to_datetime(found.time_us)) == found.time_us
