"""The alarm that wakes the generator: it rings, never early, and not at a moment that was taken back."""

import math
import sys
import time
from collections.abc import Callable
from contextlib import closing

import pytest

from coffee_core.load.generator import Alarm, CoarseAlarm, PreciseAlarm
from tests.waiting import until

KINDS = [
    CoarseAlarm,
    pytest.param(PreciseAlarm, marks=pytest.mark.skipif(sys.platform != "linux", reason="Linux alone has it")),
]
_MOST_EARLY_S = 0.0011
"""An event loop's own timers are whole milliseconds."""


@pytest.mark.parametrize("kind", KINDS)
async def test_it_rings_once_at_the_moment_that_was_set_last(kind: Callable[[Callable[[], None]], Alarm]) -> None:
    rung: list[float] = []
    with closing(kind(lambda: rung.append(time.monotonic()))) as alarm:
        first_s = time.monotonic() + 0.02
        alarm.set(first_s + 60)
        alarm.set(first_s)
        await until(lambda: rung)
        assert rung[0] >= first_s - _MOST_EARLY_S
        alarm.set(first_s)  # has passed: at once
        await until(lambda: len(rung) == 2)
        alarm.set(0)
        await until(lambda: len(rung) == 3)


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_taken_back_does_not_ring(kind: Callable[[Callable[[], None]], Alarm]) -> None:
    rung: list[str] = []
    with (
        closing(kind(lambda: rung.append("taken back"))) as one,
        closing(kind(lambda: rung.append("last"))) as last,
    ):
        one.set(time.monotonic() + 0.01)
        one.set(math.inf)
        last.set(time.monotonic() + 0.05)
        await until(lambda: rung)
    assert rung == ["last"]
