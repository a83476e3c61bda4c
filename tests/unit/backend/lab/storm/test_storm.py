"""What is drawn from a seed, and how a storm that fails is made smaller."""

import asyncio
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from backend.cli.chaos import chaos_command
from backend.lab.chaos.comparison import Verdict
from backend.lab.chaos.fault_result import FaultResult
from backend.lab.chaos.faults import FAULTS
from backend.lab.storm.storm import Gust, StormPlan, StormResult, _may_come, draw, make_smaller
from backend.pipelines.faults import Action
from coffee_core.errors import CoffeeError
from coffee_core.pipelines.constants import V1, V2
from coffee_core.totals import Totals

WEATHER = [fault for fault in FAULTS.values() if _may_come(fault)]
LINKS = ["cafe-order-api:postgres", "cafe-order-api:redis", "stream-worker:redis"]
PLAN = StormPlan(7, 60.0, (V1, V2), 100.0)


def test_a_seed_draws_the_same_storm_and_another_one_another() -> None:
    storm = draw(7, 60, WEATHER, LINKS)
    assert list(map(str, storm)) == list(map(str, draw(7, 60, WEATHER[::-1], LINKS)))
    assert list(map(str, storm)) != list(map(str, draw(8, 60, WEATHER, LINKS)))
    assert [gust.number for gust in storm] == list(range(1, len(storm) + 1))
    assert all(0 < gust.at_s < 60 for gust in storm)


def test_several_are_at_once_and_never_two_in_one_place() -> None:
    at_once = 0
    for seed in range(50):
        storm = draw(seed, 120, WEATHER, LINKS)
        assert len(storm) > 10
        last: dict[str, Gust] = {}
        for gust in storm:
            assert bool(gust.lasts_s) == gust.fault.lasts
            place = gust.fault.name.rpartition(" ")[2] if gust.fault.action is Action.NETWORK else gust.fault.part
            if place and place in last:
                assert gust.at_s >= last[place].at_s + last[place].lasts_s, (seed, str(gust))
            last[place] = gust
            at_once += any(
                other.at_s < gust.at_s < other.at_s + other.lasts_s for other in storm if other is not gust
            )
    assert at_once > 500


def test_what_wants_the_lab_to_itself_is_not_drawn() -> None:
    actions = {fault.action for fault in WEATHER}
    assert actions >= {Action.KILL, Action.FREEZE, Action.NETWORK, Action.FLUSH, Action.FILL_DISK}
    assert not actions & {Action.POISON, Action.REPLAY, Action.REBALANCE, Action.KILL_EVERYTHING}
    assert "kill-network-lab" not in {fault.name for fault in WEATHER}


VERDICT = Verdict(10, 10, 10, (), (), (), 0, 0, ())


def result(plan: StormPlan, numbers: AbstractSet[int], fails: bool) -> StormResult:
    gusts = tuple(Gust(number, number, FAULTS["kill-redis"], 0) for number in sorted(numbers))
    wrong = ("judged again: lost: 1: an order",) if fails else ()
    return StormResult(plan, gusts, [FaultResult("storm-7", V2, VERDICT, Totals(), 1.0, wrong)])


def shrink(faults: int, fails: Callable[[AbstractSet[int]], bool]) -> tuple[StormResult, list[AbstractSet[int]]]:
    """Make a storm smaller that fails by these numbers; return the smallest, and what was tried."""
    tried: list[AbstractSet[int]] = []

    async def run(plan: StormPlan) -> StormResult:
        assert plan.only is not None
        tried.append(plan.only)
        return result(plan, plan.only, fails(plan.only))

    failing = [result(PLAN, set(range(1, faults + 1)), fails=True)]
    asyncio.run(make_smaller(failing[0], run, failing.append, lambda text, **facts: None))
    assert len(tried) == len(set(map(frozenset, tried))), "none is tried twice"
    return failing[-1], tried


@pytest.mark.parametrize(
    ("needed", "faults", "command"),
    [
        (set(), 9, "--only none "),
        ({5}, 9, "--only 5 "),
        ({2, 7}, 8, "--only 2,7 "),
        ({1, 2, 3}, 3, "--rate"),
    ],
    ids=["none", "one", "two", "all of them"],
)
def test_a_failing_storm_ends_on_what_it_takes(needed: set[int], faults: int, command: str) -> None:
    smaller, tried = shrink(faults, lambda numbers: numbers >= needed)
    assert {gust.number for gust in smaller.gusts} == needed
    assert [line.endswith("NOT EXACT") for line in smaller.wrong()] == [True]
    assert len(tried) <= 24
    assert command in smaller.plan.command
    assert smaller.plan.command.startswith("coffee chaos --storm 7 --for 60")
    assert smaller.plan.command.endswith("--pipeline v1,v2 --rate 100")


def test_what_fails_once_only_stays_as_it_was() -> None:
    smaller, tried = shrink(6, lambda numbers: False)
    assert len(smaller.gusts) == 6
    assert tried[0] == set()


def test_what_fails_otherwise_is_no_smaller_one() -> None:
    """With fewer faults a request takes too long on a busy machine; an order is lost by number 2 alone."""
    verdict = replace(VERDICT, lost=("an order",))

    async def run(plan: StormPlan) -> StormResult:
        assert plan.only is not None
        late = result(plan, plan.only, fails=True)
        lost = replace(late, results=[replace(late.results[0], verdict=verdict)])
        return lost if 2 in plan.only else late

    failing = [asyncio.run(run(replace(PLAN, only=frozenset({1, 2, 3}))))]
    asyncio.run(make_smaller(failing[0], run, failing.append, lambda text, **facts: None))
    assert [gust.number for gust in failing[-1].gusts] == [2]


def test_a_run_that_does_not_end_proves_nothing() -> None:
    async def run(plan: StormPlan) -> StormResult:
        if not plan.only:
            raise CoffeeError("not up")
        return result(plan, plan.only, fails=2 in plan.only)

    failing = [result(PLAN, {1, 2}, fails=True)]
    asyncio.run(make_smaller(failing[0], run, failing.append, lambda text, **facts: None))
    assert [gust.number for gust in failing[-1].gusts] == [2]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--storm", "1", "kill-redis"), "--storm is a run of its own"),
        (("--storm", "1", "--for", "11m"), "'11m' must be a number from 0.1 to 600"),
        (("--storm", "1", "--only", "0"), "'0': each must be a whole number from 1"),
        (("--only", "3"), "--only is for --storm"),
    ],
)
def test_what_does_not_go_together_is_told(words: tuple[str, ...], said: str, tmp_path: Path) -> None:
    told = CliRunner().invoke(chaos_command, words, env={"COFFEE_HOME": str(tmp_path)})
    assert told.exit_code == 2
    assert said in told.output
    assert not list(tmp_path.iterdir())
