"""What was promised of a power cut, pipeline by pipeline and notch by notch, and what the command refuses."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from backend.cli.main import coffee
from backend.lab.chaos.comparison import Verdict
from backend.lab.chaos.fault_result import FaultResult
from backend.lab.power_cut.mount import ForgetfulMount
from backend.lab.power_cut.power_cut import NAME, CutResult
from backend.stack import places
from coffee_core.errors import CoffeeError
from coffee_core.pipelines import Pipeline
from coffee_core.pipelines.constants import V1, V2, V3
from coffee_core.totals import Totals


def cut(notch: str, pipeline: Pipeline, *lost: str, audited: int = 2) -> CutResult:
    verdict = Verdict(100, 90, 90 - len(lost), lost, (), (), 0, 0, ())
    return CutResult(notch, FaultResult(NAME, pipeline, verdict, Totals(), 1.0, audited_lost=audited))


@pytest.mark.parametrize(
    ("notch", "pipeline", "may_lose"),
    [
        ("strict", V1, False),
        ("strict", V3, False),
        ("default", V1, False),
        ("default", V2, False),
        ("default", V3, True),
        ("relaxed", V1, True),
        ("relaxed", V2, True),
    ],
)
def test_what_is_lost_is_held_against_what_was_promised(notch: str, pipeline: Pipeline, may_lose: bool) -> None:
    assert cut(notch, pipeline).kept
    lost = cut(notch, pipeline, "one", "two")
    assert (lost.may_lose, lost.kept) == (may_lose, may_lose)
    assert "lost 2 of 90 acknowledged" in lost.sentence()
    assert ("NOT KEPT" in lost.sentence()) is not may_lose


@pytest.mark.parametrize("notch", ["default", "relaxed"])
@pytest.mark.parametrize(
    "wrong",
    [
        {"verdict": Verdict(100, 90, 89, ("one",), ("two",), (), 0, 0, ())},
        {"verdict": Verdict(100, 90, 89, ("one",), (), ("two",), 0, 0, ())},
        {"verdict": Verdict(100, 90, 89, ("one",), (), (), 0, 0, ("no drink",))},
        {"problem": "it does not start again: kafka"},
        {"visible_s": None},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_that_orders_may_be_lost_excuses_nothing_else(notch: str, wrong: dict[str, Any]) -> None:
    lost = cut(notch, V3, "one")
    assert lost.kept
    other = replace(lost, result=replace(lost.result, **wrong))
    assert not other.kept
    assert "NOT KEPT" in other.sentence()


@pytest.mark.parametrize(("notch", "kept"), [("default", False), ("relaxed", True)])
def test_by_default_no_more_may_be_lost_than_the_audit_knows_of(notch: str, kept: bool) -> None:
    lost = cut(notch, V3, "one", "two", audited=1)
    assert (lost.unsaid, lost.kept) == (1, kept)
    assert "lost 2 of 90 acknowledged, the audit says 1 at most" in lost.sentence()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((NAME, "--all"), "a run of its own"),
        ((NAME, "--for", "3"), "a run of its own"),
        (("kill-redis", "--torn", "1"), f"are for {NAME}"),
        (("kill-redis", "--durability", "strict"), f"are for {NAME}"),
    ],
)
def test_what_does_not_go_together_is_refused(words: tuple[str, ...], said: str) -> None:
    result = CliRunner().invoke(coffee, ["chaos", *words])
    assert result.exit_code == 2
    assert said in result.stderr


def test_without_fuse_it_says_what_it_needs_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(places, "_FUSE", Path("/dev/no such device"))
    with (
        pytest.raises(CoffeeError, match=r"a power cut needs .*: there is no /dev/no such device"),
        ForgetfulMount(tmp_path),
    ):
        pass
    assert list(tmp_path.iterdir()) == []
