"""When a standstill is believed: not at a start, not at a short restart, and always within ten seconds."""

from dataclasses import replace

import pytest

from backend.pipelines.standstill import REPORTED_S, STOOD_S, UNEXPLAINED_S, Judge, Sight, Verdict, reported
from coffee_core.keys import MetricKeys
from coffee_core.pipelines.constants import V2
from coffee_core.standstill import Standstill

WHY = Standstill("PostgreSQL: the database system is starting up", "wait")
STUCK = Standstill("1 entry would be delivered to nobody", "`coffee replay v2`")
UNREAD = Standstill("nobody reads", "start a worker")
IDLE = Sight(progress=(5,), waiting=0)
WAITS = replace(IDLE, waiting=3)


def _judged(*sights: tuple[float, Sight]) -> list[Verdict | None]:
    judge = Judge()
    return [judge.judge(sight, at_s) for at_s, sight in sights]


def _reason(verdict: Verdict | None) -> str | None:
    return None if verdict is None else verdict.standstill.reason


def test_what_works_is_no_standstill() -> None:
    sights = [(float(at), replace(WAITS, progress=(at,), likely=UNREAD, reported=WHY)) for at in range(30)]
    assert not any(_judged(*sights)), "something is finished with every look"
    assert not any(_judged(*((float(at), IDLE) for at in range(30)))), "nothing waits"
    unknown = replace(IDLE, waiting=None, likely=UNREAD)
    assert not any(_judged(*((float(at), unknown) for at in range(30)))), "nobody knows whether anything waits"


def test_orders_that_wait_are_named_without_a_reason_within_ten_seconds() -> None:
    assert UNEXPLAINED_S <= 8, "a second each is left for the look and for whoever asks"
    _, early, late, later = _judged((0, WAITS), (6.9, WAITS), (8, WAITS), (20, replace(WAITS, waiting=1)))
    assert early is None
    assert _reason(late) == "3 orders wait and none has been finished for 8 s"
    assert _reason(later) == "1 order waits and none has been finished for 20 s"
    assert late is not None
    assert (late.since_s, late.explained) == (0, False)
    assert late.standstill.cure == "`coffee status` tells which part is down"


@pytest.mark.parametrize(
    ("sight", "after_s", "explained"),
    [
        (replace(WAITS, likely=UNREAD), STOOD_S, False),
        (replace(WAITS, reported=UNREAD, likely=WHY, certain=WHY), REPORTED_S, True),
    ],
    ids=["likely", "reported"],
)
def test_a_reason_is_believed_once_it_has_stood(sight: Sight, after_s: float, explained: bool) -> None:
    _, early, late = _judged((1, sight), (1 + after_s - 0.1, sight), (1 + after_s, sight))
    assert early is None
    assert late == Verdict(UNREAD, 1, explained=explained)


def test_a_restart_that_is_over_within_seconds_is_none() -> None:
    unread = replace(WAITS, likely=UNREAD)
    sights = [(float(at), unread) for at in range(5)]
    done = (5.0, replace(IDLE, progress=(8,)))
    again = [(float(at), replace(unread, progress=(8,))) for at in range(6, 11)]
    assert not any(_judged(*sights, done, *again))


def test_the_clock_begins_with_the_first_order_that_waits_not_with_the_silence_before() -> None:
    unread = replace(WAITS, likely=UNREAD)
    assert _judged((0, IDLE), (100, unread), (104, unread))[2] is None


def test_the_clock_begins_before_the_orders_were_counted_where_that_is_known() -> None:
    counted = replace(WAITS, waiting_since_s=98.0)
    assert _reason(_judged((0, IDLE), (100, counted), (105, counted))[2]) == (
        "3 orders wait and none has been finished for 7 s"
    )


def test_what_the_processor_reports_holds_also_where_nothing_waits_yet() -> None:
    idle = replace(IDLE, reported=WHY)
    assert _reason(_judged((0, idle), (6, idle))[1]) == WHY.reason


def test_what_is_certain_stands_whatever_else_is_finished() -> None:
    stuck = [(float(at), Sight((at,), waiting=1, certain=STUCK)) for at in range(6)]
    *early, last = _judged(*stuck)
    assert not any(early)
    assert last == Verdict(STUCK, 0, explained=True)
    gone = _judged(*stuck, (6, Sight((6,), waiting=1)), (7, Sight((7,), waiting=1, certain=STUCK)))
    assert gone[-1] is None


def test_what_no_processor_writes_is_named_and_does_not_break_the_look() -> None:
    keys = MetricKeys(V2)
    assert reported(None, keys) is None
    assert reported(WHY.to_json().encode(), keys) == WHY
    found = reported(b"\xff{", keys)
    assert found is not None
    assert (found.reason.startswith("v2:lab:standstill holds"), found.cure) == (True, "delete the key")
