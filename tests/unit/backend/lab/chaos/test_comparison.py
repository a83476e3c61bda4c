"""The comparison can fail: each kind of wrong is put in and must be named; what is right must pass."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.lab.chaos.comparison import Row, Verdict, compare
from coffee_core.load.orders import Attempt, Kind, OrderMix, RandomOrders
from coffee_core.load.statistics import Answer, Outcome
from coffee_core.pipelines.constants import V2

STATUS = {Outcome.ACKNOWLEDGED: 202, Outcome.REFUSED: 503, Outcome.REJECTED: 422, Outcome.UNKNOWN: None}


def attempts(count: int, **shares: float) -> list[Attempt]:
    mix = RandomOrders(OrderMix(**{"repeats": 0.0, "malformed": 0.0} | shares), seed=1, start_us=1_000)
    return [mix.next(V2) for _ in range(count)]


def answer(attempt: Attempt, outcome: Outcome, status: int | None = None, message_id: str | None = None) -> Answer:
    answered_id = message_id or str(attempt.key)
    return Answer(attempt, outcome, status or STATUS[outcome], answered_id, str(outcome), 1)


def acknowledged(sent: Sequence[Attempt]) -> list[Answer]:
    return [answer(attempt, Outcome.ACKNOWLEDGED) for attempt in sent]


def row(attempt: Attempt, message_id: UUID | None = None) -> Row:
    stored_as = message_id or attempt.key
    assert stored_as is not None
    return Row(stored_as, attempt.drink, attempt.store, attempt.price_cents, attempt.ordered_at_us)


def test_what_is_stored_as_it_was_sent_is_exact() -> None:
    sent = attempts(10)
    verdict = compare(sent, acknowledged(sent), map(row, sent))
    assert verdict == Verdict(10, 10, 10, (), (), (), 0, 0, ())
    assert verdict.exact
    assert not verdict.details()


def test_an_acknowledged_order_without_a_row_is_lost() -> None:
    sent = attempts(10)
    verdict = compare(sent, acknowledged(sent), map(row, sent[1:]))
    assert verdict.lost == (str(sent[0].key),)
    assert not verdict.exact
    assert verdict.details() == [f"lost: 1: {sent[0].key}"]


def test_one_intent_under_two_ids_is_duplicated() -> None:
    sent = attempts(3, keyless=1.0)
    ids = [uuid4() for _ in sent]
    answers = [
        answer(each, Outcome.ACKNOWLEDGED, message_id=str(known)) for each, known in zip(sent, ids, strict=True)
    ]
    rows = [row(each, known) for each, known in zip(sent, ids, strict=True)]
    assert compare(sent, answers, rows).exact
    forged = uuid4()
    verdict = compare(sent, answers, [*rows, row(sent[1], forged)])
    assert verdict.duplicated == (str(forged),)
    assert not verdict.exact


@pytest.mark.parametrize(
    "spoil",
    [
        lambda stored: replace(stored, price_cents=stored.price_cents + 1),
        lambda stored: replace(stored, message_id=uuid4()),
        lambda stored: replace(stored, ordered_at_us=5),
        lambda stored: replace(stored, drink="mocha"),
    ],
    ids=["price", "id", "time", "drink"],
)
def test_a_row_that_says_what_was_never_sent_is_unexplained(spoil: Callable[[Row], Row]) -> None:
    sent = attempts(3)
    spoilt = spoil(row(sent[0]))
    verdict = compare(sent, acknowledged(sent), [spoilt, *map(row, sent[1:])])
    assert verdict.unexplained == (str(spoilt.message_id),)
    assert not verdict.exact


@pytest.mark.parametrize(("outcome", "may_be_stored"), [(Outcome.REFUSED, False), (Outcome.UNKNOWN, True)])
def test_a_refusal_promises_that_the_order_is_nowhere(outcome: Outcome, may_be_stored: bool) -> None:
    (sent,) = attempts(1)
    assert compare([sent], [answer(sent, outcome)], []).exact
    assert compare([sent], [answer(sent, outcome)], [row(sent)]).exact is may_be_stored


def test_an_order_whose_answer_was_not_waited_for_may_be_stored() -> None:
    (sent,) = attempts(1)
    assert compare([sent], [], [row(sent)]).exact
    assert compare([sent], [], []).exact


def test_a_repeat_stands_for_its_order() -> None:
    (sent,) = attempts(1)
    again = replace(sent, kind=Kind.REPEAT)
    answers = [answer(sent, Outcome.REFUSED), answer(again, Outcome.ACKNOWLEDGED)]
    verdict = compare([sent, again], answers, [row(sent)])
    assert (verdict.exact, verdict.attempted, verdict.accepted, verdict.refused) == (True, 1, 1, 1)
    assert compare([sent, again], answers, []).lost == (str(sent.key),)


def test_a_malformed_order_must_be_neither_stored_nor_acknowledged() -> None:
    (sent,) = attempts(1, malformed=1.0)
    assert compare([sent], [answer(sent, Outcome.REJECTED)], []).exact
    assert not compare([sent], [answer(sent, Outcome.REJECTED)], [row(sent)]).exact
    assert not compare([sent], [answer(sent, Outcome.ACKNOWLEDGED)], []).exact


def test_a_well_formed_order_is_not_rejected_but_may_be_asked_to_try_again() -> None:
    (sent,) = attempts(1)
    assert compare([sent], [answer(sent, Outcome.REJECTED)], []).rejected
    for outcome in (Outcome.REJECTED, Outcome.REFUSED):
        for status, refused in ((409, 0), (429, 1)):
            verdict = compare([sent], [answer(sent, outcome, status)], [])
            assert verdict.exact
            assert verdict.refused == refused


@given(st.sets(st.integers(0, 29)), st.sets(st.integers(0, 29)))
def test_losses_and_duplicates_are_counted_one_by_one(gone: set[int], doubled: set[int]) -> None:
    sent = attempts(30)
    rows = [row(each) for place, each in enumerate(sent) if place not in gone]
    extra = [row(sent[place], uuid4()) for place in doubled - gone]
    verdict = compare(sent, acknowledged(sent), rows + extra)
    assert set(verdict.lost) == {str(sent[place].key) for place in gone}
    assert set(verdict.duplicated) == {str(each.message_id) for each in extra}
    assert verdict.exact is (not gone and not doubled - gone)
