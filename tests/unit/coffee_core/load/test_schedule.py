"""The open loop: intended times do not depend on how fast they are taken."""

import itertools
import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coffee_core.load.generator import PipelineSchedule
from coffee_core.load.schedule import Burst, OpenTimes, Pattern, Shape

RATES = st.floats(0.1, 10_000, allow_nan=False)
PATTERNS = st.sampled_from(Pattern)


def steady(rate: float, start_s: float) -> OpenTimes:
    return Shape(rate).times(start_s)


def popped(times: OpenTimes, count: int) -> list[float]:
    return [times.pop() for _ in range(count)]


@pytest.mark.parametrize(("rate", "third_s"), [(0.1, 120.0), (10, 100.2), (4_000, 100.0005)])
def test_intended_times_are_a_constant_interval_apart(rate: float, third_s: float) -> None:
    assert popped(steady(rate, 100.0), 3)[2] == pytest.approx(third_s)


def test_no_error_adds_up_over_many_orders() -> None:
    assert popped(steady(3_000, 50.0), 200_000)[-1] == pytest.approx(50 + 199_999 / 3_000, abs=1e-6)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"rate_per_s": 0}, "rate must be greater than 0"),
        ({"rate_per_s": math.inf}, "rate must be greater than 0"),
        ({"rate_per_s": math.nan}, "rate must be greater than 0"),
        ({"rate_per_s": 1, "over_s": 0}, "ramp must be greater than 0"),
        ({"rate_per_s": 1, "every_s": -1}, "bursts must be greater than 0"),
        ({"rate_per_s": 1, "from_per_s": -1}, "begins at 0"),
        ({"rate_per_s": 1, "pattern": "sawtooth"}, "sawtooth"),
    ],
)
def test_a_shape_that_is_none_is_refused_in_words(wrong: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Shape(**wrong)


@given(PATTERNS, RATES, st.floats(0, 50), st.integers(0, 500))
def test_what_is_offered_does_not_depend_on_what_was_popped(
    pattern: Pattern, rate: float, from_per_s: float, count: int
) -> None:
    shape = Shape(rate, pattern, from_per_s)
    lazy, busy = shape.times(10, seed=3), shape.times(10, seed=3)
    last_s = max(popped(busy, count), default=10)
    assert lazy.offered(last_s + 1) == busy.offered(last_s + 1) >= count


@given(PATTERNS, RATES, st.floats(0, 20))
def test_a_closed_schedule_yields_exactly_what_it_offered(pattern: Pattern, rate: float, after_s: float) -> None:
    times = Shape(min(rate, 50), pattern, over_s=7).times(0, seed=5)
    times.close(after_s)
    offered, count = times.offered(after_s), 0
    while times.next_s < math.inf:
        assert times.pop() < after_s
        count += 1
    assert offered == count == times.offered(after_s + 100)


def test_a_ramp_grows_evenly_and_stays() -> None:
    times = Shape(100, Pattern.RAMP, from_per_s=0, over_s=10).times(0)
    assert [times.offered(second) for second in (0, 5, 10, 20)] == pytest.approx([1, 126, 501, 1_501], abs=1)
    intended = popped(times, 1_501)
    assert intended == sorted(intended)
    assert [intended[125], intended[500], intended[1_500]] == pytest.approx([5, 10, 20])


def test_a_ramp_may_go_down() -> None:
    times = Shape(10, Pattern.RAMP, from_per_s=100, over_s=10).times(0)
    intended = popped(times, 600)
    assert intended == sorted(intended)
    assert intended[550] == pytest.approx(10)


def test_poisson_has_the_mean_and_the_spread_of_independent_orders() -> None:
    gaps = [b - a for a, b in itertools.pairwise(popped(Shape(50, Pattern.POISSON).times(0, seed=1), 20_000))]
    assert statistics.mean(gaps) == pytest.approx(0.02, rel=0.03)
    assert statistics.stdev(gaps) == pytest.approx(0.02, rel=0.03)


def test_poisson_counts_what_is_due_and_not_what_will_be() -> None:
    times = Shape(1_000, Pattern.POISSON).times(0, seed=2)
    times.close(10)
    assert times.offered(1) == pytest.approx(1_000, rel=0.15)
    assert times.offered(10) == pytest.approx(10_000, rel=0.05)


def test_bursts_come_at_once_and_again() -> None:
    times = Shape(4, Pattern.BURST, every_s=0.5).times(1.0)
    assert popped(times, 5) == [1.0, 1.0, 1.5, 1.5, 2.0]
    assert times.offered(1.4) == 5, "what was taken was offered"


def test_a_burst_is_meant_for_one_moment() -> None:
    burst = Burst(3, 7.0)
    assert burst.offered(6.9) == 0
    assert [burst.pop() for _ in range(3)] == [7.0, 7.0, 7.0]
    assert burst.next_s == math.inf
    assert burst.offered(8) == 3


def test_a_lane_that_changes_its_rate_sends_its_backlog_and_goes_on() -> None:
    schedule = PipelineSchedule()
    schedule.run(Shape(10), 0.0)
    schedule.run(Shape(1), 0.55)  # six are due: 0.0 to 0.5
    assert [schedule.pop(0.6) for _ in range(6)] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5])
    assert schedule.next_s == pytest.approx(0.6)
    assert schedule.pop(0.6) == pytest.approx(0.6)
    assert schedule.next_s == pytest.approx(1.6)


def test_a_lane_merges_a_burst_into_its_rate() -> None:
    schedule = PipelineSchedule()
    schedule.run(Shape(10), 0.0)
    schedule.burst(2, 0.05)
    assert [schedule.pop(0.2) for _ in range(4)] == pytest.approx([0.0, 0.05, 0.05, 0.1])
    assert schedule.counts(0.2).offered == 5


def test_a_lane_that_runs_for_a_time_ends_by_itself() -> None:
    schedule = PipelineSchedule()
    schedule.run_for(Shape(10), 5.0, 1.0)
    assert not schedule.running
    assert [schedule.pop(6.0) for _ in range(10)][-1] == pytest.approx(5.9)
    assert schedule.next_s == math.inf
    assert schedule.counts(9.0).offered == 10


def test_a_dropped_lane_still_says_what_it_offered() -> None:
    schedule = PipelineSchedule()
    schedule.burst(100, 1.0)
    schedule.pop(1.0)
    schedule.drop(2.0)
    assert schedule.next_s == math.inf
    assert schedule.counts(3.0).offered == 100
