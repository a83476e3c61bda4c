"""How late orders are by the sums of two moments, and the fence that carries them."""

import pytest
from redis.exceptions import ResponseError

from backend.pipelines.v5_live.projector import Fence, latencies
from coffee_core.latency import bucket_of, quantile_us

NOW_US = 1_700_000_000_000_000


def fences(waited_us: list[int], gap_us: int) -> tuple[Fence, Fence]:
    before = Fence("1:1:", 10, 10 * (NOW_US - gap_us - 1_000), NOW_US - gap_us)
    accepted = before.accepted_us + sum(NOW_US - each for each in waited_us)
    return before, Fence("2:2:", 10 + len(waited_us), accepted, NOW_US)


def test_orders_of_a_moment_count_with_their_mean() -> None:
    assert latencies(*fences([2_000, 3_000, 4_000], 5_000)) == {bucket_of(3_000): 3}


def test_after_a_standstill_they_are_spread_around_it() -> None:
    found = latencies(*fences([round(5e6 * (at + 0.5) / 3_333) for at in range(3_333)], 5_000_000))
    assert found.total() == 3_333
    for q in (0.1, 0.5, 0.99):
        assert quantile_us(found, q) == pytest.approx(5e6 * q, rel=0.1)


def test_a_late_order_alone_is_as_late_as_it_is() -> None:
    assert latencies(*fences([3_000_000], 10_000_000)) == {bucket_of(3_000_000): 1}


def test_nothing_is_counted_without_a_fence_or_where_orders_are_gone() -> None:
    before, after = fences([1, 2], 100)
    assert not latencies(None, after)
    assert not latencies(after, before)
    assert not latencies(after, after)


@pytest.mark.parametrize("snapshot", ["1:1:", "100:200:", "100:200:100,150"])
def test_a_fence_is_read_as_it_is_written(snapshot: str) -> None:
    fence = Fence(snapshot, 7, -(10**20), NOW_US)
    assert Fence.parse(str(fence)) == fence
    assert Fence.parse("") is Fence.parse(None) is None


@pytest.mark.parametrize("text", ["1", "1:1: 7 8", "1:1: 7 8 nine", "1:1: 7 8 9 10"])
def test_another_text_names_the_key_to_delete(text: str) -> None:
    with pytest.raises(ResponseError, match="v5:lab:fence holds no snapshot and sums; delete it"):
        Fence.parse(text)
