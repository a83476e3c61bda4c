"""A cell fails of drift alone, of a wrong verdict alone, and of anything else that is wrong; it says so."""

import json
from dataclasses import replace

import pytest

from backend.lab.chaos.comparison import Verdict
from backend.lab.chaos.fault_result import FaultResult, as_table
from coffee_core.pipelines.constants import V2
from coffee_core.totals import Totals

GOOD = FaultResult("kill-redis", V2, Verdict(9, 8, 8, (), (), (), 1, 0, ()), Totals(), 0.81, still_s=1.5)


def test_a_good_cell_is_exact_and_says_so_in_numbers() -> None:
    assert GOOD.exact
    head, line = as_table([GOOD])
    assert head.split()[:4] == ["fault", "pipeline", "accepted", "lost"]
    assert line.split() == ["kill-redis", "v2", "8", "0", "0", "0", "1", "0", "0.81", "s", "1.50", "s"]


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (replace(GOOD, drift=Totals(orders=1, revenue_cents=450)), "+1 (+450 ¢)"),
        # Orders agree, cents do not: still adrift.
        (replace(GOOD, drift=Totals(revenue_cents=-5)), "+0 (-5 ¢)"),
        (replace(GOOD, drift=replace(Totals(), drink_counts={"latte": 1, "americano": -1})), "+0 (+0 ¢)"),
        (replace(GOOD, verdict=replace(GOOD.verdict, lost=("key-1",))), "lost: 1: key-1"),
        (replace(GOOD, verdict=replace(GOOD.verdict, duplicated=("id-2",))), "duplicated: 1: id-2"),
        (replace(GOOD, wrong=("its own log does not balance",)), "its own log does not balance"),
    ],
    ids=["drift", "cents", "breakdown", "lost", "duplicated", "wrong"],
)
def test_a_wrong_cell_is_not_exact_and_names_what_is_wrong(result: FaultResult, reason: str) -> None:
    assert not result.exact
    assert reason in "\n".join(as_table([result]))
    assert "NOT EXACT" in result.summary_line()
    assert json.loads(json.dumps(result.as_json()))["exact"] is False


def test_json_carries_the_numbers_of_the_table() -> None:
    raw = json.loads(json.dumps(GOOD.as_json()))
    assert (raw["accepted"], raw["lost"], raw["duplicated"], raw["refused"]) == (8, [], [], 1)
    assert (raw["drift"]["orders"], raw["visible_again_s"], raw["standstill_s"]) == (0, 0.81, 1.5)
