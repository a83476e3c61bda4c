"""A fault's lines of progress become what the page shows; its time is marked on every sparkline."""

from dataclasses import replace
from pathlib import Path

import pytest

from coffee_core.runstate import PartState, State, write_env, write_state
from coffee_core.settings import Settings
from coffee_tui.data.connection import Attachment
from coffee_tui.data.faults import FaultVerdict, FaultView, Phase, advance, why_not
from coffee_tui.data.history import SLOTS, Moment
from coffee_tui.data.live import LiveFeed
from coffee_tui.data.state import DashboardState
from coffee_tui.screens.faults import fault_run
from coffee_tui.theme import ACCENT, FELT
from coffee_tui.widgets.charts import with_fault_marks
from tests.unit.coffee_tui.scripted import ALL, snapshot

V1, V2, V3 = ALL
BEGUN = FaultView("kill-redis", Phase.PREPARING, pipelines=(V1, V2))
CELL = {"pipeline": "v2", "exact": False, "wrong": ["3 orders are still in flight"]}


def _all(view: FaultView, *lines: dict[str, object]) -> FaultView:
    for line in lines:
        view = advance(view, line, lambda: 100.0)
    return view


STRUCK = _all(BEGUN, {"said": "kill-redis: now", "moment": "struck", "lasts_s": None})
OVER = _all(STRUCK, {"said": "kill-redis: killed redis", "moment": "over"})
BACK = _all(
    OVER,
    {"said": "kill-redis: v2 visible", "pipeline": "v2", "visible_again_s": 0.8},
    {"said": "kill-redis: v1 visible", "pipeline": "v1", "visible_again_s": 2.5},
)


def test_it_is_felt_from_the_fault_until_every_pipeline_is_back() -> None:
    assert [view.felt for view in (BEGUN, STRUCK, OVER, BACK)] == [False, True, True, False]
    assert [view.running for view in (FaultView(), BEGUN, STRUCK, OVER, BACK)] == [False, True, True, True, True]
    assert OVER.waiting == (V1, V2)
    assert BACK.visible == ((V2, 0.8), (V1, 2.5))


def test_the_clock_says_how_long_ago_and_how_long_still() -> None:
    frozen = _all(BEGUN, {"said": "now", "moment": "struck", "lasts_s": 5.0})
    assert BEGUN.clock(100) == "nothing is broken yet"
    assert frozen.clock(102) == "struck 2 s ago · goes on for 3 s more"
    assert OVER.clock(104) == "struck 4 s ago · not back yet: v1, v2"
    assert BACK.clock(110) == "struck 10 s ago · every pipeline shows new orders again"


def test_the_end_is_a_verdict_or_a_reason() -> None:
    ended = {"exact": False, "complete": True, "failures": [], "interrupted": False}
    view = _all(BACK, {"said": "kill-redis: v2: lost 0", "cell": CELL}, {"ended": ended})
    assert view.verdicts == (FaultVerdict(V2, False, "v2: lost 0", ("3 orders are still in flight",)),)
    assert (view.phase, view.running, view.trouble) == (Phase.ENDED, False, "")
    assert "cancelled" in _all(STRUCK, {"ended": {**ended, "interrupted": True}}).trouble
    assert _all(BEGUN, {"ended": {**ended, "failures": ["kill-redis: not up"]}}).trouble == "kill-redis: not up"


def test_the_run_in_rows() -> None:
    def rows(view: FaultView, width: int = 120) -> str:
        text = fault_run(view, snapshot(), 103.0, width).plain
        assert all(len(line) <= width for line in text.splitlines())
        return text

    assert "nothing broken yet" in rows(FaultView())
    assert rows(STRUCK).count("   not back yet") == 2
    assert "back after 2.5 s" in rows(BACK)
    ended = replace(BACK, phase=Phase.ENDED, verdicts=(FaultVerdict(V1, True, "v1: lost 0"),))
    assert "✓ kill-redis: not one order lost" in rows(ended)
    wrong = replace(ended, verdicts=(FaultVerdict(V1, False, "v1: lost 3", ("three are gone",)),))
    assert "NOT EXACT" in rows(wrong)
    assert "three are gone" in rows(wrong)
    rows(wrong, 60)


def test_marks_are_shown_by_glyphs_and_keep_their_place() -> None:
    row = with_fault_marks("▁▂ ▃▄", (True, False, True, True, False), ACCENT[V1])
    assert row.plain == "×▂×▃▄"
    assert with_fault_marks("▁▂  ▄", (True, True, True, False), ACCENT[V1]).plain == "▁×░░▄"
    assert any(FELT in str(span.style) for span in row.spans)
    assert with_fault_marks("▁▂", (), ACCENT[V1]).plain == "▁▂"
    above = with_fault_marks("▁ ▃", (True, True, False), ACCENT[V1], foot=False)
    assert above.plain == "▁ ▃"
    assert any(FELT in str(span.style) for span in above.spans)


def test_the_seconds_of_a_fault_are_kept_beside_the_histories() -> None:
    state = DashboardState(ALL)
    for second in range(SLOTS + 5):
        state.fault = "kill-redis" if second >= SLOTS + 3 else ""
        state.slot(Moment(float(second), second * 1_000_000))
    shown = state.snapshot(Moment(float(SLOTS + 5), 0))
    assert shown.fault == "kill-redis"
    assert shown.faults == (False,) * (SLOTS - 2) + (True, True)
    assert len(shown.faults) == len(shown.pipelines[0].rate_history)


def test_a_feed_is_made_without_faults() -> None:
    assert LiveFeed(Attachment.to(Settings.from_env({})))._fault() == ""


def _home(tmp_path: Path, state: State) -> Settings:
    import os

    settings = Settings.from_env({"COFFEE_HOME": str(tmp_path)})
    write_env(tmp_path, {"API_URL": settings.api_url})
    write_state(tmp_path, PartState("postgres", 1, 5432, state, wrapper_pid=os.getpid()))
    return settings


@pytest.mark.parametrize(
    ("state", "reason"), [(State.UP, ""), (State.STOPPED, "remote stack"), (State.EXTERNAL, "postgres was given")]
)
def test_only_a_stack_of_this_machine_is_broken(tmp_path: Path, state: State, reason: str) -> None:
    why = why_not(_home(tmp_path, state))
    assert reason in why
    assert bool(why) is bool(reason)


def test_a_stack_elsewhere_has_no_faults(tmp_path: Path) -> None:
    local = _home(tmp_path, State.UP)
    assert "remote stack" in why_not(replace(local, given_api_url="http://lab.example:8005"))
    assert "remote stack" in why_not(Settings.from_env({"COFFEE_HOME": str(tmp_path / "empty")}))
    assert V1 in local.pipelines
