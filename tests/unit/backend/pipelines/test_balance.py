"""The arithmetic of the audit: whatever happened, what is wrong is named, and nothing else is."""

from collections.abc import Sequence
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.pipelines.balance import difference, explained_by_in_flight, is_zero, shown_totals, total
from backend.pipelines.v1_direct.audit import balance_v1
from backend.pipelines.v2_streams.audit import StreamCounts, balance_v2
from backend.pipelines.v3_kafka.audit import TopicCounts, balance_v3
from coffee_core.errors import CoffeeError
from coffee_core.menu import DRINKS, STORES
from coffee_core.totals import Totals

Orders: TypeAlias = Sequence[tuple[str, str, int, int]]
ONE = st.sampled_from(
    [(drink, store, 1, cents) for drink in DRINKS for store in STORES for cents in (1, 350, 1_000_000)]
)
MANY = st.lists(ONE, max_size=12)
SOME = st.integers(0, 5)


def of(orders: Orders) -> Totals:
    return Totals.of_groups(orders)


@given(MANY, MANY)
def test_differences_and_totals_are_inverse(a: Orders, b: Orders) -> None:
    assert total(of(a), of(b)) == of([*a, *b])
    assert difference(of([*a, *b]), of(b)) == of(a)
    assert is_zero(difference(of(a), of(a)))


@given(MANY, MANY)
def test_orders_on_their_way_excuse_one_side_that_is_ahead_and_nothing_else(base: Orders, ahead: Orders) -> None:
    more = of([*base, *ahead])
    for shown, stored, enough, too_few in (
        (of(base), more, (len(ahead), 0), (len(ahead) - 1, 99)),
        (more, of(base), (0, len(ahead)), (99, len(ahead) - 1)),
    ):
        assert explained_by_in_flight(shown, stored, *enough)
        assert not ahead or not explained_by_in_flight(shown, stored, *too_few)


@given(MANY, MANY, MANY)
def test_both_sides_may_be_ahead_at_once(base: Orders, stored: Orders, shown: Orders) -> None:
    assert explained_by_in_flight(of([*base, *shown]), of([*base, *stored]), len(stored), len(shown))


def test_one_drink_ahead_and_another_behind_need_both_sides() -> None:
    shown, stored = of([("latte", "uptown", 1, 500)]), of([("americano", "uptown", 1, 400)])
    assert explained_by_in_flight(shown, stored, 1, 1)
    assert not explained_by_in_flight(shown, stored, 0, 1)
    assert not explained_by_in_flight(shown, stored, 1, 0)


def test_money_alone_needs_two_orders_on_their_way() -> None:
    dearer = Totals(0, 5, {"latte": 0}, {"latte": 5}, {"uptown": 0}, {"uptown": 5})
    assert not explained_by_in_flight(Totals(), dearer, 9, 0)
    assert not explained_by_in_flight(Totals(), dearer, 0, 9)
    assert explained_by_in_flight(Totals(), dearer, 1, 1)
    assert not explained_by_in_flight(Totals(), Totals(0, 10**15, {"latte": 0}, {"latte": 10**15}), 10**6, 10**6)


def test_a_metric_that_is_no_number_is_named() -> None:
    with pytest.raises(CoffeeError, match=r"drink_counts\.latte"):
        shown_totals("1", "1", [{"latte": "many"}, {}, {}, {}])


@given(MANY, MANY)
def test_v1_shows_its_last_run_and_the_rest_is_in_flight(due: Orders, newer: Orders) -> None:
    balance = balance_v1(of(due), of(due), of(newer), Totals())
    assert balance.balanced
    assert (balance.accepted, balance.in_flight) == (len(due) + len(newer), len(newer))


@given(st.lists(ONE, min_size=1, max_size=9), MANY)
def test_v1_a_row_that_was_shown_and_has_gone_is_lost(due: Orders, newer: Orders) -> None:
    balance = balance_v1(of(due), of(due[1:]), of(newer), Totals())
    assert not balance.balanced
    assert balance.lost == 1
    assert balance.lost_totals == of(due[:1])


@given(MANY, SOME, SOME, SOME)
def test_v2_balances_and_names_an_entry_that_went_nowhere(
    rows: Orders, waiting: int, repeats: int, dead: int
) -> None:
    added = len(rows) + waiting + repeats + dead
    log = StreamCounts(added, waiting, repeats, dead, letters=dead)
    balance = balance_v2(log, of(rows), of(rows), Totals(), 0)
    assert balance.balanced
    assert (balance.accepted, balance.in_flight) == (added, waiting)
    dropped = balance_v2(
        StreamCounts(added + 1, waiting, repeats, dead, letters=dead), of(rows), of(rows), Totals(), 0
    )
    assert (dropped.lost, dropped.lost_totals, dropped.balanced) == (1, None, False)


@given(st.lists(ONE, min_size=1, max_size=9))
def test_v2_a_loss_and_a_copy_do_not_cancel(rows: Orders) -> None:
    copy = of(rows[-1:])
    stored = total(of(rows[1:]), copy) if len(rows) > 1 else copy
    distinct = len(rows) - 1
    balance = balance_v2(StreamCounts(len(rows), 0, 0, 0), of(rows), stored, copy, 0)
    assert balance.stored.orders == distinct + 1
    assert (balance.lost, balance.duplicated) == (1, copy)
    assert balance.lost_totals == of(rows[:1])


@given(MANY, SOME)
def test_v2_a_log_that_is_too_short_is_said_to_be_lost_and_never_negative(rows: Orders, short: int) -> None:
    balance = balance_v2(StreamCounts(max(0, len(rows) - short), 0, 0, 0), of(rows), of(rows), Totals(), 0)
    assert balance.lost == 0
    assert balance.log_short == min(short, len(rows))
    assert balance.balanced == (balance.log_short == 0)


def test_v2_a_dead_letter_that_somebody_deleted_is_lost_and_one_that_was_dropped_is_not() -> None:
    gone = StreamCounts(added=3, length=0, duplicates=0, dead=3, letters=1, requeued=0, dropped=1)
    balance = balance_v2(gone, Totals(), Totals(), Totals(), 0)
    assert balance.lost == 1
    assert "orders:dead" in balance.notes[0]


@given(MANY, MANY, SOME, SOME, SOME)
def test_v3_rows_may_be_ahead_by_what_is_in_flight(
    shown: Orders, ahead: Orders, behind: int, repeats: int, dead: int
) -> None:
    records = len(shown) + len(ahead) + behind + repeats + dead
    log = TopicCounts(records, len(shown), repeats, dead, letters=dead)
    balance = balance_v3(log, of(shown), of([*shown, *ahead]), Totals(), 0)
    assert balance.balanced
    assert balance.in_flight == len(ahead) + behind


@given(st.lists(ONE, min_size=1, max_size=9), SOME)
def test_v3_a_row_that_is_missing_is_lost(rows: Orders, repeats: int) -> None:
    log = TopicCounts(len(rows) + repeats, len(rows), repeats, 0, 0)
    balance = balance_v3(log, of(rows), of(rows[1:]), Totals(), 0)
    assert (balance.lost, balance.lost_totals, balance.drift) == (1, of(rows[:1]), of(rows[:1]))


@given(st.lists(ONE, min_size=1, max_size=9), SOME)
def test_v3_rows_may_follow_what_was_shown_above_the_last_checkpoint(rows: Orders, unflushed: int) -> None:
    log = TopicCounts(len(rows), len(rows), 0, 0, 0, unflushed)
    balance = balance_v3(log, of(rows), Totals(), Totals(), 0)
    assert balance.balanced == (unflushed >= len(rows))
    assert balance.lost == (0 if unflushed >= len(rows) else len(rows))


@given(MANY, SOME)
def test_v3_a_key_that_was_counted_up_is_drift_whatever_is_in_flight(rows: Orders, in_flight: int) -> None:
    shown = total(of(rows), Totals(orders=1))
    balance = balance_v3(TopicCounts(len(rows) + in_flight, len(rows), 0, 0, 0), shown, of(rows), Totals(), 0)
    assert (balance.lost, balance.drift.orders, balance.balanced) == (0, 1, False)


@given(st.lists(ONE, min_size=1, max_size=9))
def test_v3_a_flushed_redis_is_drift_and_not_in_flight(rows: Orders) -> None:
    balance = balance_v3(TopicCounts(len(rows), None, 0, 0, 0), Totals(), of(rows), Totals(), 0)
    assert (balance.in_flight, balance.drift.orders, balance.balanced) == (0, -len(rows), False)
    assert "next order" in balance.notes[0]


def test_v3_a_topic_that_was_deleted_is_a_lost_log_and_no_negative_number() -> None:
    rows = of([("latte", "uptown", 1, 500)] * 3)
    balance = balance_v3(TopicCounts(0, 3, 2, 0, 0), rows, rows, Totals(), 0)
    assert (balance.log_short, balance.lost, balance.in_flight) == (5, 0, 0)
    assert not balance.balanced


def test_v3_what_the_topic_has_lost_with_its_end_is_said_however_the_rest_balances() -> None:
    rows = of([("latte", "uptown", 1, 500)] * 3)
    balance = balance_v3(TopicCounts(3, 3, 0, 0, 0, truncated={1: 4, 2: 3}), rows, rows, Totals(), 0)
    assert (balance.truncated, balance.lost, balance.log_short, balance.balanced) == (7, 0, 0, False)
    assert any("7 records that were acknowledged" in note for note in balance.notes)


def test_v3_a_dead_letter_that_never_reached_its_topic_is_lost() -> None:
    assert balance_v3(TopicCounts(2, 0, 0, 2, letters=1), Totals(), Totals(), Totals(), 0).lost == 1
    # After a restore a letter may be written again.
    assert balance_v3(TopicCounts(2, 0, 0, 2, letters=3), Totals(), Totals(), Totals(), 0).balanced
