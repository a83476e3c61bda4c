"""A cell is judged by more than its rows: the log, the dead letters, and whose requests may fail."""

from dataclasses import replace
from uuid import uuid4

import pytest

from backend.lab.chaos.client import Client
from backend.lab.chaos.comparison import Verdict
from backend.lab.chaos.experiment import Settled, SingleFaultResult, _result
from backend.lab.chaos.fault_result import FaultResult
from backend.lab.chaos.faults import FAULTS
from backend.pipelines.balance import NOTHING, Balance
from backend.pipelines.faults import Effect, Fault
from coffee_core.load.statistics import Answer, Outcome
from coffee_core.pipelines import Pipeline
from coffee_core.pipelines.constants import V2, V3
from coffee_core.totals import Totals

VERDICT = Verdict(10, 10, 10, (), (), (), 0, 0, ())
BALANCE = Balance(V2, 10, Totals(), Totals(), 0, 3, 0, 0, NOTHING, NOTHING)
KILL, POISON = FAULTS["kill-redis"], FAULTS["poison-stream"]


def judge(
    fault: Fault = KILL,
    verdict: Verdict = VERDICT,
    balance: Balance = BALANCE,
    effect: Effect = Effect("done"),  # noqa: B008 - frozen
    pipeline: Pipeline = V2,
    visible_s: float | None = 1.0,
) -> FaultResult:
    """Judge one cell; three dead letters were there before."""
    client = Client("http://127.0.0.1:1", pipeline)
    sent = client._mix.next(pipeline)
    # An id of our own: of the orders that are sent, some have no key.
    client.answers += [Answer(sent, Outcome.REFUSED, 503, None, f"down: {uuid4()}", 1)] * verdict.refused
    return _result(fault, Settled(verdict, Totals(), balance), BALANCE, effect, client, visible_s)


def test_all_is_well() -> None:
    assert judge().exact
    poisoned = judge(POISON, balance=replace(BALANCE, dead_letters=13), effect=Effect("put 10", poison=10))
    assert poisoned.exact
    assert "each poison message one" in poisoned.notes[0]


def test_a_failed_request_is_wrong_only_where_the_fault_must_not_cause_it() -> None:
    failed = replace(VERDICT, refused=4)
    assert judge(verdict=failed).exact
    assert "must not fail requests of v3" in judge(verdict=failed, pipeline=V3).wrong[0]
    assert not judge(FAULTS["kill-stream-worker"], failed).exact
    assert judge(verdict=failed).notes == ("failed requests were told: 4 × down: …",)


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (judge(visible_s=None), "no order from after the fault was visible"),
        (judge(effect=Effect("killed", problem="redis did not come back")), "redis did not come back"),
        (judge(balance=replace(BALANCE, lost=2)), "its own log does not balance: v2: lost 2"),
        (judge(balance=replace(BALANCE, in_flight=7)), "7 orders are still in flight"),
        (judge(balance=replace(BALANCE, dead_letters=4)), "1 dead letters where 0 belong"),
        (judge(POISON, effect=Effect("put", poison=10)), "0 dead letters where 10 belong"),
    ],
    ids=["invisible", "gone", "log", "in flight", "a dead letter", "no dead letter"],
)
def test_what_else_is_wrong_is_reported(result: FaultResult, reason: str) -> None:
    assert not result.exact
    assert result.kinds() == {"other"}
    assert reason in result.wrong[0]


@pytest.mark.parametrize(
    ("visible_s", "problem", "says"),
    [
        (None, "", "its total did not move"),
        (0.25, "", "moving again after 0.25 s · standstill 0.50 s"),
        (None, "orders wait, and none is shown", "its total did not move · orders wait, and none is shown"),
    ],
)
def test_a_fault_alone_is_told_in_a_line(visible_s: float | None, problem: str, says: str) -> None:
    alone = SingleFaultResult("kill-redis", BALANCE, visible_s, 0.5, problem)
    assert alone.summary_line() == f"v2: lost 0 · duplicated 0 · drift 0 · {says}"
    assert alone.as_json()["visible_again_s"] == visible_s
    assert alone.exact == (not problem)


def test_what_is_wrong_with_orders_has_names() -> None:
    assert judge().kinds() == frozenset()
    found = judge(verdict=replace(VERDICT, lost=("one",), duplicated=("two",)), visible_s=None)
    assert found.kinds() == {"lost", "duplicated"}
    assert replace(found, drift=Totals(revenue_cents=1)).kinds() == {"lost", "duplicated", "drift"}
    assert judge(effect=Effect("killed", problem="redis did not come back")).problem == "redis did not come back"
