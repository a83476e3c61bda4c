"""How what was seen becomes a figure: visible latency of totals, samples of several clients, conditions."""

import math
import time

import pytest

from backend.lab.bench.conditions import Condition
from backend.lab.bench.figures import Figures
from backend.lab.bench.load_run import Latency, Measured
from backend.lab.bench.visibility import TotalHistory
from coffee_core.load.orders import Attempt, Kind, OrderMix, RandomOrders
from coffee_core.load.plan import Plan
from coffee_core.load.schedule import Pattern, Shape
from coffee_core.load.statistics import Answer, Outcome, Sample, SampleRecorder
from coffee_core.pipelines.constants import V1, V2, V3


def flow(*seen: tuple[float, int]) -> TotalHistory:
    made = TotalHistory()
    for at_s, total in seen:
        made.note(at_s, total)
    return made


def test_a_backlog_is_gone_once_no_more_waits_than_is_allowed() -> None:
    # Ten orders a second; nothing is shown until 5.0, then twenty at once, then twenty more.
    intended = [each / 10 for each in range(100)]
    seen = flow((0.0, 7), (5.0, 27), (5.5, 47), (6.0, 65), (6.5, 72))
    assert seen.level_s(7, intended, 5.0, 3) == 6.0, "61 were due, 58 are shown"
    assert seen.level_s(7, intended, 5.0, 2) == 6.5
    assert seen.level_s(7, intended, 5.0, 0) == math.inf, "66 were due, 65 are shown"
    assert seen.level_s(7, intended, 6.2, 100) == 6.5, "not before it was let go"


def test_the_kth_order_is_late_until_the_total_has_reached_it() -> None:
    seen = flow((0, 100), (10.5, 101), (12.0, 103))
    histogram, unseen = seen.visible_latency(100, [11.0, 10.0, 10.2])  # in any order
    assert unseen == 0
    assert histogram.total == 3
    assert histogram.percentile_us(0) == pytest.approx(500_000, rel=0.001)
    assert histogram.max_us == pytest.approx(1_800_000, rel=0.001)


def test_what_was_never_shown_is_counted_apart() -> None:
    histogram, unseen = flow((0, 0), (1.0, 2)).visible_latency(0, [0.5, 0.6, 0.7])
    assert (histogram.total, unseen) == (2, 1)


def test_a_total_that_does_not_change_takes_no_room() -> None:
    seen = flow((0, 5), (1, 5), (2, 6), (3, 6))
    assert (seen.times_s, seen.totals, seen.total) == ([0, 2], [5, 6], 6)
    assert (seen.total_at(1.9), seen.total_at(2), seen.changes(1, 3)) == (5, 6, 1)


def test_a_standstill_lasts_until_the_next_change() -> None:
    seen = flow((0, 0), (1.0, 1), (2.0, 2), (6.0, 3), (6.5, 4))
    assert seen.longest_still_s(2.5, 5.0) == 3.5
    assert seen.longest_still_s(0.5, 1.5) == 1.0
    assert seen.first_s(3) == 6.0


def answer(attempt: Attempt, outcome: Outcome, intended_s: float = 1.0) -> Answer:
    return Answer(attempt, outcome, 202, None, "" if outcome is Outcome.ACKNOWLEDGED else "no", 1_000, intended_s)


def test_an_order_is_accepted_once_however_often_it_is_sent() -> None:
    orders = RandomOrders(OrderMix(repeats=0.5, malformed=0), seed=4, remember=True)
    recorder = SampleRecorder()
    for _ in range(200):
        recorder.record(answer(orders.next(V2), Outcome.ACKNOWLEDGED))
    new = sum(attempt.kind is Kind.NEW for attempt in orders.attempted)
    assert len(recorder.sample.intended) == new < 150


def test_a_repeat_of_an_order_that_was_refused_is_its_acceptance() -> None:
    orders = RandomOrders(OrderMix(repeats=0, malformed=0), seed=4)
    first = orders.next(V2)
    orders.mix = OrderMix(repeats=1, malformed=0)
    repeat = orders.next(V2)
    assert (repeat.kind, repeat.key) == (Kind.REPEAT, first.key)
    recorder = SampleRecorder()
    recorder.record(answer(first, Outcome.REFUSED))
    assert not recorder.sample.intended
    recorder.record(answer(repeat, Outcome.ACKNOWLEDGED, 2.0))
    recorder.record(answer(repeat, Outcome.ACKNOWLEDGED, 3.0))
    assert list(recorder.sample.intended) == [2.0]
    assert recorder.sample.reasons == {"no": 1}


def sample(latency_us: int, intended_s: float, **counts: int) -> Sample:
    made = Sample(**counts)
    made.latency.record(latency_us)
    made.intended.append(intended_s)
    made.last_answer_s = intended_s + 1
    made.outcomes[Outcome.ACKNOWLEDGED] = 1
    return made


def test_samples_cross_a_pipe_and_add_up() -> None:
    total = Sample()
    for part in (sample(1_000, 5.0, offered=2, sent=2), sample(9_000, 4.0, offered=3, sent=2, late=1)):
        total.add(Sample.from_json(part.to_json()))
    assert (total.offered, total.sent, total.late, total.acknowledged) == (5, 4, 1, 2)
    assert sorted(total.intended) == [4.0, 5.0]
    assert total.last_answer_s == 6.0
    assert total.latency.total == 2
    assert Sample.from_json(Sample().to_json()).last_answer_s == Sample().last_answer_s


@pytest.mark.parametrize("pattern", Pattern)
def test_clients_together_offer_the_whole_shape(pattern: Pattern) -> None:
    plan = Plan((V1,), Shape(400, pattern, from_per_s=100, over_s=2), 4.0)
    alone = plan.shape.times(0.0, seed=1)
    parts = [part.shape.times(part.start_s, part.seed) for part in plan.split(4, 0.0)]
    for times in (alone, *parts):
        times.close(4.0)
    assert sum(times.offered(3.9) for times in parts) == pytest.approx(alone.offered(3.9), rel=0.1, abs=5)
    assert sum(part.in_flight for part in plan.split(4, 0.0)) <= plan.in_flight


def test_a_plan_crosses_a_pipe() -> None:
    plan = Plan((V2, V3), Shape(7, Pattern.RAMP, 1), 3.0, OrderMix(repeats=0.25), 9, time.monotonic())
    assert Plan.from_json(plan.to_json()) == plan


def measured(**changes: object) -> Measured:
    latency = Latency(10, 1_000, 2_000, 49_000, 60_000, 70_000)
    values: dict[str, object] = dict.fromkeys(Measured.__slots__, 0)
    values |= {"offered": 1_000, "sent": 1_000, "refused": 5, "api": latency, "dashboard": latency}
    values |= {"shown": Latency(0), "reasons": {}, "achieved_per_s": 99.5}
    return Measured(**(values | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("v2.dashboard.p99 < 50ms", True),
        ("v2.dashboard.p99 > 50ms", False),
        ("v2.dashboard.p99<0.05s", True),
        ("v2.api.max >= 70000us", True),
        ("v2.achieved_per_s < 100", True),
        ("v2.achieved_per_s < 99/s", False),
        ("v2.refused > 0.4%", True),
        ("v2.refused > 5", False),
        ("v2.shown.p50 < 1s", None),
        ("v1.api.p50 < 1s", None),
    ],
)
def test_a_condition_holds_or_not_or_cannot_be_told(text: str, holds: bool | None) -> None:
    assert Condition.parse(text).holds({V2: measured()}) is holds


def test_a_condition_shows_what_was_found_in_its_own_unit() -> None:
    assert Condition.parse("v2.dashboard.p99 > 50ms").found({V2: measured()}) == "49 ms"
    assert Condition.parse("v2.refused > 1%").found({V2: measured()}) == "0.5 %"
    assert Condition.parse("v3.refused > 1%").found({V2: measured()}) == "not measured"


@pytest.mark.parametrize(
    "text",
    [
        "fast",
        "v9.api.p50 < 1ms",
        "v2.api < 1ms",
        "v2.api.p50 < 1",
        "v2.api.p42 < 1s",
        "v2.refused.p50 < 1",
        "v2.x < 1",
        "v2.refused < 1ms",
        "v2.achieved_per_s < 5%",
        "v2.api.p50 = 1ms",
    ],
)
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="v"):
        Condition.parse(text)


def test_a_generator_that_was_late_by_itself_measured_nothing() -> None:
    assert measured(slipped=10).valid
    assert not measured(slipped=11).valid
    assert measured(late=900).valid, "the servers held it up"


def test_a_load_that_was_cut_short_measured_nothing_and_says_what_remained() -> None:
    assert measured(offered=1_500).invalid.startswith("500 of 1,500 requests were never begun")


def test_a_figure_tells_its_middle_and_its_spread() -> None:
    figures = Figures()
    for value in (3.0, None, 1.0, 2.0):
        figures.add("a", value, "s")
    figure = figures.get("a")
    assert figure is not None
    assert (figure.middle, figure.low, figure.high) == (2.0, 1.0, 3.0)
    assert figures.middle("b") is None
    assert Figures.from_json(figures.as_json()).as_json() == figures.as_json()
