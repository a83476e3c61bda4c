"""The open loop: intended times do not depend on how fast they are taken."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coffee_core.load.lane import Lane
from coffee_core.load.schedule import Burst, Steady

RATES = st.floats(0.1, 10_000, allow_nan=False)


@pytest.mark.parametrize(("rate", "third_s"), [(0.1, 120.0), (10, 100.2), (4_000, 100.0005)])
def test_intended_times_are_a_constant_interval_apart(rate: float, third_s: float) -> None:
    steady = Steady(rate, 100.0)
    assert [steady.take(), steady.take(), steady.take()][2] == pytest.approx(third_s)


def test_no_error_adds_up_over_many_orders() -> None:
    steady = Steady(3_000, 50.0)
    for _ in range(200_000):
        last_s = steady.take()
    assert last_s == pytest.approx(50 + 199_999 / 3_000, abs=1e-6)


@pytest.mark.parametrize("rate", [0, -1, math.inf, math.nan])
def test_a_rate_must_be_positive(rate: float) -> None:
    with pytest.raises(ValueError, match="greater than 0"):
        Steady(rate, 0)


@given(RATES, st.integers(0, 500))
def test_what_is_offered_does_not_depend_on_what_was_taken(rate: float, taken: int) -> None:
    lazy, busy = Steady(rate, 10), Steady(rate, 10)
    for _ in range(taken):
        busy.take()
    now_s = 10 + (taken + 5) / rate
    assert lazy.offered(now_s) == busy.offered(now_s)


@given(RATES, st.floats(0, 20))
def test_a_closed_schedule_yields_exactly_what_it_offered(rate: float, after_s: float) -> None:
    rate = min(rate, 50)
    steady = Steady(rate, 0)
    steady.close(after_s)
    offered, taken = steady.offered(after_s), 0
    while steady.next_s < math.inf:
        assert steady.take() < after_s
        taken += 1
    assert steady.offered(after_s + 100) == taken
    assert abs(offered - taken) <= 1  # a time that falls on the end itself may round either way


def test_a_burst_is_meant_for_one_moment() -> None:
    burst = Burst(3, 7.0)
    assert burst.offered(6.9) == 0
    assert [burst.take() for _ in range(3)] == [7.0, 7.0, 7.0]
    assert burst.next_s == math.inf
    assert burst.offered(8) == 3


def test_a_lane_that_changes_its_rate_sends_its_backlog_and_goes_on() -> None:
    lane = Lane()
    lane.run_at(10, 0.0)
    lane.run_at(1, 0.55)  # six are due: 0.0 to 0.5
    assert [lane.take(0.6) for _ in range(6)] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5])
    assert lane.next_s == pytest.approx(0.6)
    assert lane.take(0.6) == pytest.approx(0.6)
    assert lane.next_s == pytest.approx(1.6)


def test_a_lane_merges_a_burst_into_its_rate() -> None:
    lane = Lane()
    lane.run_at(10, 0.0)
    lane.burst(2, 0.05)
    assert [lane.take(0.2) for _ in range(4)] == pytest.approx([0.0, 0.05, 0.05, 0.1])
    assert lane.counts(0.2).offered == 5


def test_a_dropped_lane_still_says_what_it_offered() -> None:
    lane = Lane()
    lane.burst(100, 1.0)
    lane.take(1.0)
    lane.drop(2.0)
    assert lane.next_s == math.inf
    assert lane.counts(3.0).offered == 100
