"""v4's equations: what is lost, what is on its way, and to whom."""

import pytest

from backend.pipelines.balance import NOTHING
from backend.pipelines.v4_workers.audit import TopicCounts, balance_v4
from backend.pipelines.v4_workers.reconcile import Cut, Stored
from coffee_core.totals import Totals

QUIET = TopicCounts(unstored=0, uncounted=0, unfinished=0, letters=1)
DONE = Stored({0: 10}, records=10, duplicates=2, dead=1)


def totals(orders: int) -> Totals:
    return Totals.of_groups([("latte", "uptown", orders, orders * 500)])


def cut(orders: int, offset: int = 10) -> Cut:
    return Cut(totals(orders), {0: offset}, {})


def test_at_rest_everything_is_accounted_for() -> None:
    balance = balance_v4(QUIET, cut(7), DONE, totals(7), totals(7), NOTHING, 0)
    assert balance.balanced
    assert (balance.accepted, balance.in_flight, balance.duplicates_dropped, balance.dead_letters) == (10, 0, 2, 1)


@pytest.mark.parametrize(
    ("rows", "lost", "log_short"), [(6, 1, 0), (8, 0, 1)], ids=["a row is gone", "a row too many"]
)
def test_rows_that_the_workers_do_not_account_for(rows: int, lost: int, log_short: int) -> None:
    balance = balance_v4(QUIET, cut(rows), DONE, totals(rows), totals(rows), NOTHING, 0)
    assert (balance.lost, balance.log_short, balance.balanced) == (lost, log_short, False)


def test_a_dead_letter_that_is_nowhere_is_lost() -> None:
    topic = TopicCounts(unstored=0, uncounted=0, unfinished=0, letters=0)
    assert balance_v4(topic, cut(7), DONE, totals(7), totals(7), NOTHING, 0).lost == 1


def test_what_is_deleted_before_it_was_stored_is_lost() -> None:
    topic = TopicCounts(unstored=0, uncounted=0, unfinished=0, letters=1, deleted=3)
    balance = balance_v4(topic, cut(7), DONE, totals(7), totals(7), NOTHING, 0)
    assert (balance.lost, balance.accepted) == (3, 13)


def test_a_cut_is_held_against_its_own_rows_whatever_came_after_it() -> None:
    assert balance_v4(QUIET, cut(4, offset=6), DONE, totals(7), totals(4), NOTHING, 0).balanced
    assert balance_v4(QUIET, cut(5, offset=6), DONE, totals(7), totals(4), NOTHING, 0).drift.orders == 1


def test_workers_that_are_behind_explain_what_is_shown_and_no_more() -> None:
    topic = TopicCounts(unstored=2, uncounted=0, unfinished=2, letters=1)
    ahead = balance_v4(topic, cut(9, offset=12), DONE, totals(7), totals(7), NOTHING, 0)
    assert ahead.balanced
    assert ahead.in_flight == 2
    assert "behind what is shown by 2" in ahead.notes[-1]
    assert balance_v4(topic, cut(10, offset=12), DONE, totals(7), totals(7), NOTHING, 0).drift.orders == 3


def test_what_waits_is_said_of_each_group() -> None:
    topic = TopicCounts(unstored=5, uncounted=2, unfinished=6, letters=1)
    balance = balance_v4(topic, cut(7), DONE, totals(7), totals(7), NOTHING, 0)
    assert (balance.accepted, balance.in_flight) == (15, 6)
    assert balance.notes == ("5 wait for the group of the kafka-workers, 2 for that of the kafka-aggregators",)


def test_a_topic_made_anew_is_a_log_that_was_lost() -> None:
    topic = TopicCounts(unstored=0, uncounted=0, unfinished=0, letters=1, missing=4)
    assert balance_v4(topic, cut(7), DONE, totals(7), totals(7), NOTHING, 0).log_short == 4


def test_a_partition_that_holds_another_record_where_the_last_one_was_is_a_log_that_was_lost() -> None:
    topic = TopicCounts(unstored=0, uncounted=0, unfinished=0, letters=1, replaced=(2,))
    balance = balance_v4(topic, cut(7), DONE, totals(7), totals(7), NOTHING, 0)
    assert (balance.log_short, balance.balanced) == (1, False)
    assert "partition 2 has lost its end" in balance.notes[0]


def test_acknowledged_records_that_the_topic_has_lost_are_said_and_keep_it_from_balancing() -> None:
    topic = TopicCounts(unstored=0, uncounted=0, unfinished=0, letters=1, truncated={2: 15})
    balance = balance_v4(topic, cut(7), DONE, totals(7), totals(7), NOTHING, 0)
    assert (balance.truncated, balance.lost, balance.log_short, balance.balanced) == (15, 0, 0, False)
    assert any("15 records that were acknowledged" in note for note in balance.notes)
