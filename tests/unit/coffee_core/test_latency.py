"""The histogram's quantiles are off by at most half a bucket."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coffee_core.latency import MAX_BUCKET, bucket_middle_us, bucket_of, difference, quantile_us


@given(st.integers(2, 60_000_000_000))
def test_a_bucket_stands_for_its_latencies_within_five_per_cent(latency_us: int) -> None:
    assert bucket_middle_us(bucket_of(latency_us)) == pytest.approx(latency_us, rel=0.05)


@given(st.lists(st.integers(2, 60_000_000_000), min_size=1, max_size=300), st.floats(0, 1))
def test_a_quantile_is_that_of_the_values(latencies_us: list[int], q: float) -> None:
    counts: dict[int, int] = {}
    for latency_us in latencies_us:
        counts[bucket_of(latency_us)] = counts.get(bucket_of(latency_us), 0) + 1
    rank = max(0, -int(-q * len(latencies_us) // 1) - 1)
    assert quantile_us(counts, q) == pytest.approx(sorted(latencies_us)[rank], rel=0.05)


def test_the_ends() -> None:
    assert bucket_of(-5) == bucket_of(0) == bucket_of(1) == 0
    assert bucket_of(1e15) == MAX_BUCKET
    assert quantile_us({}, 0.5) is None


def test_a_difference_is_what_came_in_between() -> None:
    assert difference({1: 5, 2: 7}, {1: 5, 2: 3}) == {2: 4}


def test_after_a_reset_everything_is_new() -> None:
    assert difference({1: 2}, {1: 5, 2: 3}) == {1: 2}
    assert difference({1: 9}, {2: 3}) == {1: 9}
