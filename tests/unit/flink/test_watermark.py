from flink.redis_sink import BEHIND_S, IDLE_AFTER_S, Watermark

BEHIND_MS = BEHIND_S * 1_000
NOW = 1_000_000_000_000
"""µs since the epoch."""


class Clock:
    def __init__(self) -> None:
        self.s = 0.0

    def __call__(self) -> float:
        return self.s


def test_the_slowest_partition_holds_the_watermark_back() -> None:
    watermark = Watermark(Clock())
    assert watermark.after([9_000_000, 5_000_000], NOW) == 5_000 - BEHIND_MS
    assert watermark.after([9_000_000, 8_000_000], NOW) == 8_000 - BEHIND_MS


def test_a_partition_that_may_still_be_unread_holds_it_back_and_an_idle_one_does_not() -> None:
    clock = Clock()
    watermark = Watermark(clock)
    assert watermark.after([9_000_000, 0], NOW) is None
    clock.s = IDLE_AFTER_S
    assert watermark.after([10_000_000, 0], NOW) == 10_000 - BEHIND_MS
    assert watermark.after([11_000_000, 10_500_000], NOW) == 10_500 - BEHIND_MS


def test_where_all_are_idle_nothing_is_said() -> None:
    clock = Clock()
    watermark = Watermark(clock)
    watermark.after([9_000_000], NOW)
    clock.s = IDLE_AFTER_S
    assert watermark.after([9_000_000], NOW) is None


def test_it_never_passes_this_clock() -> None:
    assert Watermark(Clock()).after([2 * NOW], NOW) == NOW // 1_000 - BEHIND_MS
