"""Quantiles and rates out of recorded readings."""

import pytest

from coffee_core.latency import bucket_of
from coffee_core.pipelines.constants import V1, V2, V3
from coffee_tui.data.history import Changes, Meter, PipelineHistory
from coffee_tui.data.readings import MetricsReading


def _reading(orders: int, latency: dict[int, int] | None = None, updated_us: int = 0) -> MetricsReading:
    counters = {"last_update_us": updated_us} if updated_us else {}
    return MetricsReading(orders=orders, latency=latency or {}, counters=counters)


def test_a_step_function_knows_its_value_at_any_moment_of_its_span() -> None:
    changes: Changes[int] = Changes(10)
    for at_s, value in ((0, 1), (5, 2), (6, 2), (8, 3)):
        changes.add(at_s, value)
    assert changes.at(4.9) == (0, 1)
    assert changes.at(7.9) == (5, 2)
    assert changes.at(100) == (8, 3)
    assert changes.at(-1) == (0, 1)


def test_a_rate_falls_to_nothing_where_nothing_comes() -> None:
    meter = Meter(3)
    assert meter.rate(0) is None
    for second in range(5):
        meter.add(second, second * 20)
    assert meter.rate(4) == pytest.approx(20)
    meter.add(8, 80)
    assert meter.rate(8) == 0


def test_a_slow_rate_is_seen() -> None:
    meter = Meter(3)
    for second in range(30):
        meter.add(second, second // 10)
    assert meter.rate(20) == pytest.approx(1 / 3)


def test_a_total_that_was_flushed_is_no_negative_rate() -> None:
    meter = Meter(3)
    meter.add(0, 500)
    meter.add(2, 0)
    assert meter.rate(2) == 0


def test_quantiles_are_those_of_the_window_alone() -> None:
    history = PipelineHistory(V2)
    slow, fast = bucket_of(900_000), bucket_of(3_000)
    history.add_metrics(0, _reading(100, {slow: 100}))
    assert history.dashboard(0).p50_us is None, "what was there before is not of this window"
    history.add_metrics(20, _reading(200, {slow: 100, fast: 100}))
    assert history.dashboard(20).p99_us == pytest.approx(3_000, rel=0.1)
    assert history.dashboard(31).p50_us is None, "the window has passed"


def test_v1_keeps_the_latency_of_its_last_run() -> None:
    history = PipelineHistory(V1)
    late = bucket_of(5_000_000)
    history.add_metrics(0, _reading(0, {}, 1_000_000))
    history.add_metrics(10, _reading(50, {late: 50}, 11_000_000))
    assert history.dashboard(60).p50_us == pytest.approx(5_000_000, rel=0.1)


def test_the_rate_of_v1_is_that_between_its_runs() -> None:
    history = PipelineHistory(V1)
    history.add_metrics(0, _reading(100, {}, 50_000_000))
    assert history.rate(0) is None
    history.add_metrics(10, _reading(300, {}, 60_000_000))
    assert history.rate(12) == pytest.approx(20)
    assert history.rate(19) == pytest.approx(20)
    assert history.rate(31) is None, "a run is overdue: nobody knows"
    assert history.interval_us == 10_000_000


def test_a_flushed_histogram_starts_anew() -> None:
    history = PipelineHistory(V3)
    fast = bucket_of(2_000)
    history.add_metrics(0, _reading(10, {fast: 10}))
    history.add_metrics(1, _reading(0, {}))
    history.add_metrics(2, _reading(1, {fast: 1}))
    assert history.dashboard(2).p50_us == pytest.approx(2_000, rel=0.1)


def test_slots_keep_gaps_where_nothing_was_measured() -> None:
    history = PipelineHistory(V2)
    history.add_api(0, {}, 0)
    history.slot(1)
    history.add_api(1.5, {bucket_of(400): 3}, 3)
    history.slot(2)
    first, second = history.api_p99
    assert first is None
    assert second == pytest.approx(400, rel=0.1)
