"""Quantiles against the sorted list of what was recorded: the second implementation."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coffee_core.load.histogram import HIGHEST_US, LatencyHistogram

LATENCIES = st.lists(st.integers(1, HIGHEST_US) | st.integers(1, 5_000), min_size=1, max_size=60)
PERCENTILES = (0, 1, 25, 50, 90, 99, 99.9, 100)


def recorded(latencies_us: list[int]) -> LatencyHistogram:
    histogram = LatencyHistogram()
    for latency_us in latencies_us:
        histogram.record(latency_us)
    return histogram


def at_least(latency_us: int, found_us: int) -> bool:
    return latency_us <= found_us < latency_us * (1 + 1 / 1_024) + 1


@given(LATENCIES, st.sampled_from(PERCENTILES))
def test_a_quantile_is_that_of_the_list_to_three_digits(latencies_us: list[int], percentile: float) -> None:
    rank = max(1, math.floor(percentile / 100 * len(latencies_us) + 0.5))
    assert at_least(sorted(latencies_us)[rank - 1], recorded(latencies_us).percentile_us(percentile))


@given(LATENCIES)
def test_the_total_and_the_highest_are_those_of_the_list(latencies_us: list[int]) -> None:
    histogram = recorded(latencies_us)
    assert histogram.total == len(latencies_us)
    assert at_least(max(latencies_us), histogram.max_us)


@given(LATENCIES, LATENCIES)
def test_histograms_add_up_and_survive_json(one: list[int], other: list[int]) -> None:
    added = LatencyHistogram.from_dict(recorded(one).as_dict())
    added.add(recorded(other))
    assert added.as_dict() == recorded(one + other).as_dict()


@pytest.mark.parametrize(
    ("latency_us", "read_us"), [(-5, 1), (0.2, 1), (2_047, 2_047), (2_048, 2_049), (4e9, 3_600_809_983)]
)
def test_the_ends_of_the_range_are_where_they_should_be(latency_us: float, read_us: int) -> None:
    histogram = LatencyHistogram()
    histogram.record(latency_us)
    assert histogram.percentile_us(50) == read_us


def test_an_empty_one_reads_zero() -> None:
    assert (LatencyHistogram().total, LatencyHistogram().max_us, LatencyHistogram().percentile_us(99)) == (0, 0, 0)
