"""Readings put together: the chain of each pipeline, what a lost link looks like, equality of idle snapshots."""

from dataclasses import replace

import pytest

from coffee_core.pipelines import DEFAULT_PIPELINES, Pipeline
from coffee_core.pipelines.constants import V1, V2, V3
from coffee_core.runstate import PartState, State
from coffee_core.standstill import Standstill
from coffee_core.totals import PipelineCounts
from coffee_tui.data.history import Moment
from coffee_tui.data.readings import Dependency, LabReading, MetricsReading, ReadingError, RedisReading, parse_lab
from coffee_tui.data.snapshot import Health, Mood, PipelineView, Quantiles, Snapshot, StatusLine
from coffee_tui.data.state import DashboardState

ALL = DEFAULT_PIPELINES
READY = dict.fromkeys(DEFAULT_PIPELINES, True)


def _at(second: float) -> Moment:
    return Moment(second, 1_700_000_000_000_000 + int(second * 1e6))


def _part(name: str, state: State = State.UP) -> PartState:
    return PartState(name, 1, None, state, "", 1_700_000_000_000_000)


PARTS = tuple(
    map(
        _part,
        (
            "cafe-order-aggregator",
            "cafe-order-api",
            "flink-job",
            "flink-jobmanager",
            "flink-taskmanager-1",
            "kafka",
            "postgres",
            "redis",
            "stream-worker",
        ),
    )
)


def _fresh_state(lab: LabReading | None = None) -> DashboardState:
    state = DashboardState(ALL)
    state.read_metrics(_at(0), RedisReading({pipeline: MetricsReading() for pipeline in ALL}, {V2: 0}))
    state.read_lab(_at(0), lab or LabReading(uptime_s=1, ready=READY, parts=PARTS))
    return state


def _healths(view: PipelineView) -> dict[str, Health]:
    return {stage.label: stage.health for stage in view.chain}


def _views(snapshot: Snapshot) -> dict[Pipeline, PipelineView]:
    return {view.pipeline: view for view in snapshot.pipelines}


def test_a_healthy_stack_is_healthy_all_along_each_chain() -> None:
    snapshot = _fresh_state().snapshot(_at(1))
    assert not snapshot.coming_up
    for view in snapshot.pipelines:
        assert set(_healths(view).values()) == {Health.GOOD}, view.pipeline


def test_a_broken_part_is_seen_where_it_stands() -> None:
    state = _fresh_state()
    broken = tuple(
        _part(part.name, State.BACKOFF) if part.name.startswith("flink-task") else part for part in PARTS
    )
    state.read_lab(_at(2), LabReading(uptime_s=2, ready=READY, parts=broken))
    views = _views(state.snapshot(_at(3)))
    assert _healths(views[V3])["Flink"] is Health.BROKEN
    assert views[V3].status_line.text == "flink-taskmanager-1 backoff for 3 s"
    assert set(_healths(views[V2]).values()) == {Health.GOOD}


def test_a_part_that_is_back_before_anybody_looks_was_gone_all_the_same() -> None:
    state = _fresh_state()
    back = tuple(replace(part, restarts=part.name == "stream-worker") for part in PARTS)
    state.read_lab(_at(1), LabReading(uptime_s=2, ready=READY, parts=back))
    snapshot = state.snapshot(_at(2))
    views = _views(snapshot)
    assert _healths(views[V2])["worker"] is Health.STARTING
    assert views[V2].status_line.text == "stream-worker restarted, up for 2 s"
    assert [part.name for part in snapshot.parts if not part.good] == ["stream-worker"]
    state.read_lab(_at(2), LabReading(uptime_s=3, ready=READY, parts=back))
    assert not state.snapshot(_at(3)).coming_up, "told once"


def test_a_part_that_was_restarted_long_ago_is_no_news() -> None:
    parts = tuple(replace(part, restarts=3) for part in PARTS)
    assert not _fresh_state(LabReading(uptime_s=1, ready=READY, parts=parts)).snapshot(_at(0)).coming_up


def test_a_server_that_the_api_cannot_reach_is_broken_whatever_its_wrapper_says() -> None:
    silent = {"kafka": Dependency(False, "no broker answers", 1_700_000_000_000_000)}
    snapshot = _fresh_state(LabReading(uptime_s=1, ready=READY, parts=PARTS, dependencies=silent)).snapshot(_at(1))
    view = _views(snapshot)[V3]
    assert _healths(view)["Kafka"] is Health.BROKEN
    assert view.status_line.text.startswith("kafka no answer")


def test_a_stack_without_wrappers_is_known_by_its_dependencies() -> None:
    known = {name: Dependency(True) for name in ("postgres", "redis", "kafka")}
    view = _views(_fresh_state(LabReading(uptime_s=1, ready=READY, dependencies=known)).snapshot(_at(1)))[V2]
    assert _healths(view) == {
        "POST": Health.GOOD,
        "stream": Health.GOOD,
        "worker": Health.UNKNOWN,
        "PG, Redis": Health.GOOD,
    }


def test_a_lost_link_keeps_the_figures_and_the_time_of_its_loss() -> None:
    state = DashboardState(ALL)
    shown = MetricsReading(orders=42)
    state.read_metrics(_at(0), RedisReading(dict.fromkeys(ALL, shown), {V2: 0}))
    state.lost_redis(_at(5), "connection refused")
    state.lost_redis(_at(9), "connection refused")
    snapshot = state.snapshot(_at(10))
    assert snapshot.redis.up is False
    assert snapshot.redis.since_us == _at(5).time_us
    assert snapshot.pipelines[0].orders == 42
    state.read_metrics(_at(11), RedisReading(dict.fromkeys(ALL, shown), {V2: 0}))
    assert state.snapshot(_at(11)).redis.up is True


def _reads(state: DashboardState, at_s: float, orders: int, queued: int = 0) -> None:
    state.read_metrics(_at(at_s), RedisReading(dict.fromkeys(ALL, MetricsReading(orders=orders)), {V2: queued}))


def test_while_redis_is_silent_nobody_knows_how_fast_anything_is() -> None:
    state = _fresh_state()
    for second in range(5):
        _reads(state, second, 100 * second, 7)
        state.slot(_at(second))
    state.lost_redis(_at(5), "connection refused")
    for second in range(5, 65):
        # Orders flow on: the API takes them, and says so.
        answers = {str(each): {"202": 100 * second} for each in ALL}
        state.read_lab(_at(second), LabReading(uptime_s=1, ready=READY, parts=PARTS, answers=answers))
        state.slot(_at(second))
    view = _views(state.snapshot(_at(65)))[V2]
    assert (view.rate, view.stalled_s) == (None, None)
    assert {stage.waiting for stage in view.chain} == {None}
    assert view.rate_history[-60:] == (None,) * 60
    _reads(state, 65, 6_500)
    _reads(state, 66, 6_600)
    assert _views(state.snapshot(_at(66)))[V2].rate == pytest.approx(100)


def test_a_repeat_that_changes_nothing_is_no_stall() -> None:
    state = _fresh_state()
    for second, accepted, queued in ((1, 0, 0), (2, 1, 0), (30, 1, 0), (40, 2, 1), (50, 2, 1)):
        answers = {str(V2): {"202": accepted}}
        state.read_lab(_at(second), LabReading(uptime_s=1, ready=READY, parts=PARTS, answers=answers))
        _reads(state, second, 0, queued)
        view = _views(state.snapshot(_at(second)))[V2]
        assert (view.stalled_s is not None) == (second == 50)


def test_what_waits_is_said_with_its_trend() -> None:
    state = _fresh_state()
    for second in range(5):
        _reads(state, second, 1 + 3_000 * second, 20_000 + 2_000 * second)
    line = _views(state.snapshot(_at(4)))[V2].status_line
    assert line.text == "28,000 queued, growing by 2,000/s"


def test_a_stack_with_other_pipelines_is_shown_as_far_as_there_are_columns() -> None:
    state = DashboardState(ALL)
    state.read_metrics(_at(0), RedisReading(dict.fromkeys(ALL, MetricsReading()), {V2: 0}))
    state.read_lab(_at(0), LabReading(uptime_s=1, ready={str(V1): True, "v5": True}, parts=PARTS))
    views = _views(state.snapshot(_at(1)))
    assert views[V3].status_line.text == "v3 does not run in this stack"
    assert "does not run" not in views[V1].status_line.text


def test_an_idle_stack_gives_equal_snapshots() -> None:
    state = _fresh_state()
    for second in range(310):
        state.slot(_at(second))
    first = state.snapshot(_at(310))
    state.slot(_at(311))
    assert state.snapshot(_at(311)) == first


def test_nothing_is_claimed_before_anything_was_read() -> None:
    snapshot = DashboardState(ALL).snapshot(_at(0))
    assert {view.orders for view in snapshot.pipelines} == {None}
    assert {view.status_line.text for view in snapshot.pipelines} == {"waiting for Redis"}
    assert {health for view in snapshot.pipelines for health in _healths(view).values()} == {Health.UNKNOWN}


def test_a_lab_answer_is_read_as_the_api_writes_it() -> None:
    reading = parse_lab(
        {
            "time_us": 5,
            "uptime_s": 7.5,
            "ready": {"v1": True},
            "dependencies": {"postgres": {"up": False, "detail": "x", "since_us": 3}},
            "api_latency": {"v1": {"80": 2}},
            "answers": {"v1": {"201": 9, "202": 1, "422": 4}},
            "parts": [{"name": "redis", "pid": 1, "port": 2, "state": "up"}],
            "standstills": {"v1": None, "v2": {"reason": "nobody reads", "cure": "start one", "since_us": 7}},
        }
    )
    assert reading.accepted(V1) == 10
    assert reading.latency == {"v1": {80: 2}}
    assert reading.parts == (PartState("redis", 1, 2, State.UP),)
    assert reading.standstills == {"v2": Standstill("nobody reads", "start one")}


def test_a_standstill_of_the_api_is_the_status_line_of_its_column() -> None:
    state = _fresh_state()
    before = state.snapshot(_at(1)).pipelines[1].status_line
    state.read_lab(_at(1), LabReading(standstills={V2: Standstill("nobody reads", "start one")}))
    assert state.snapshot(_at(1)).pipelines[1].status_line == StatusLine("nobody reads", Mood.BROKEN, "start one")
    state.read_lab(_at(2), LabReading())
    assert state.snapshot(_at(2)).pipelines[1].status_line.text == before.text


@pytest.mark.parametrize("raw", [{}, [], {"uptime_s": "soon"}, None])
def test_a_lab_answer_of_another_kind_is_a_clear_error(raw: object) -> None:
    with pytest.raises(ReadingError, match="/api/lab"):
        parse_lab(raw)


def _counted(age_s: float) -> LabReading:
    counts = PipelineCounts(50, 40, 40, 10, 0, 0, 0, 0, 0)
    return LabReading(
        uptime_s=1, ready=READY, parts=PARTS, counts=dict.fromkeys(map(str, ALL), counts), counts_age_s=age_s
    )


def test_counts_that_are_older_than_the_totals_say_their_age() -> None:
    state = _fresh_state(_counted(0.4))
    assert _views(state.snapshot(_at(1)))[V3].counts_age_s is None
    state.read_lab(_at(2), _counted(14.2))
    view = _views(state.snapshot(_at(3)))[V3]
    assert view.counts_age_s == 15
    assert view.status_line.text == "10 queued 15 s ago", "what waited then is not drained at the rate of now"
    queue_of_its_own = _views(state.snapshot(_at(3)))[V2]
    assert "ago" not in queue_of_its_own.status_line.text


def test_what_a_silent_api_counted_last_stays_and_ages() -> None:
    state = _fresh_state(_counted(0.0))
    state.lost_api(_at(2), "no answer")
    view = _views(state.snapshot(_at(9)))[V3]
    assert view.counts is not None
    assert (view.counts.accepted, view.counts_age_s) == (50, 9)
    assert view.api == Quantiles()
    assert view.status_line.text.startswith("API silent since")
    assert all(stage.waiting is None for stage in view.chain), "nobody knows what waits now"
    state.read_lab(_at(10), LabReading(uptime_s=1, ready=READY, parts=PARTS))
    assert _views(state.snapshot(_at(10)))[V3].counts is None, "an API that cannot count has none"
