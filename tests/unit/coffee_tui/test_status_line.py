"""The last line of a column: what it says, and that what is broken comes first."""

from dataclasses import replace

import pytest

from coffee_core.pipelines.constants import V1, V2, V3
from coffee_core.standstill import Standstill
from coffee_tui.data.readings import MetricsReading
from coffee_tui.data.snapshot import Health, Link, Mood, PartView
from coffee_tui.data.status_line import StatusInputs, status_line

NOW_US = 1_700_000_000_000_000
GOOD = StatusInputs(
    pipeline=V2,
    redis=Link(True, NOW_US),
    api=Link(True, NOW_US),
    mode="live",
    now_us=NOW_US,
    metrics=MetricsReading(orders=5, counters={"last_update_us": NOW_US - 6_000_000}),
    troubled=[],
    ready=True,
    stalled_s=None,
    queued=0,
    counts=None,
    rate=0.0,
    interval_us=None,
    accepted_since_run=0,
)
IN_RUNS = replace(GOOD, pipeline=V1, interval_us=10_000_000)


def due(in_s: int, took_s: int = 0) -> MetricsReading:
    """Return what v1 shows whose next run is due then, and whose last one took so long."""
    counters = {"next_run_us": NOW_US + in_s * 1_000_000, "last_run_us": took_s * 1_000_000}
    return MetricsReading(orders=5, counters=counters | {"last_update_us": NOW_US - 6_000_000})


STARTING = PartView("flink-taskmanager", Health.STARTING, "starting", "", NOW_US - 3_000_000)


@pytest.mark.parametrize(
    ("known", "says", "mood"),
    [
        (GOOD, "in step, nothing queued", Mood.GOOD),
        (replace(GOOD, metrics=MetricsReading()), "no order yet", Mood.CALM),
        (replace(GOOD, metrics=None), "waiting for Redis", Mood.BUSY),
        (replace(GOOD, queued=1369, rate=9_800), "in step, less than a second queued", Mood.GOOD),
        (
            replace(GOOD, queued=13_690, rate=11_800, queue_growth=-9_800),
            "13,690 queued, draining at 9,800/s, 1.4 s left",
            Mood.BUSY,
        ),
        (
            replace(GOOD, queued=20_000, rate=3_000, queue_growth=2_000),
            "20,000 queued, growing by 2,000/s",
            Mood.BUSY,
        ),
        (replace(GOOD, queued=20_000, rate=3_000, queue_growth=0.2), "20,000 queued", Mood.BUSY),
        (replace(GOOD, runs=False), "v2 does not run in this stack", Mood.CALM),
        (replace(GOOD, queued=3, rate=0.0), "3 queued", Mood.BUSY),
        (replace(GOOD, stalled_s=4), "orders accepted, none shown for 4 s", Mood.BUSY),
        (replace(GOOD, troubled=[STARTING]), "flink-taskmanager starting for 3 s", Mood.BUSY),
        (replace(GOOD, ready=False), "the API takes no v2 orders now", Mood.BUSY),
        (IN_RUNS, "in step · next run in 4 s", Mood.GOOD),
        (replace(IN_RUNS, accepted_since_run=7), "in step at next run, in 4 s", Mood.CALM),
        (replace(IN_RUNS, interval_us=None), "last run 6 s ago", Mood.CALM),
        (replace(IN_RUNS, interval_us=2_000_000), "a run is overdue, last 6 s ago", Mood.BROKEN),
        (replace(IN_RUNS, metrics=due(3)), "in step · next run in 3 s", Mood.GOOD),
        (replace(IN_RUNS, interval_us=1_000_000, metrics=due(3)), "in step · next run in 3 s", Mood.GOOD),
        (replace(IN_RUNS, interval_us=60_000_000, metrics=due(-3)), "a run is overdue, last 6 s ago", Mood.BROKEN),
        (replace(IN_RUNS, metrics=due(-3, took_s=2)), "in step · next run in 0 s", Mood.GOOD),
        (replace(IN_RUNS, metrics=MetricsReading()), "no order yet", Mood.CALM),
        (replace(GOOD, pipeline=V3), "last order shown 6 s ago", Mood.GOOD),
    ],
)
def test_it_says(known: StatusInputs, says: str, mood: Mood) -> None:
    line = status_line(known)
    assert (line.text, line.mood) == (says, mood)


WHY = Standstill("no checkpoint can be read", "`coffee replay v3` counts anew")
DOWN = PartView("stream-worker", Health.BROKEN, "backoff", "killed by SIGKILL", NOW_US - 7_000_000)


@pytest.mark.parametrize(
    "known", [GOOD, replace(GOOD, troubled=[STARTING]), replace(GOOD, ready=False), replace(GOOD, stalled_s=9)]
)
def test_a_standstill_comes_first_with_its_cure(known: StatusInputs) -> None:
    line = status_line(replace(known, standstill=WHY))
    assert (line.text, line.cure, line.mood) == (WHY.reason, WHY.cure, Mood.BROKEN)
    assert line.whole == f"{WHY.reason} – {WHY.cure}"


def test_a_part_that_is_down_is_the_reason_of_a_standstill() -> None:
    line = status_line(replace(GOOD, troubled=[STARTING, DOWN], standstill=WHY))
    assert (line.text, line.cure) == ("stream-worker backoff for 7 s · killed by SIGKILL", "")


def test_a_lost_redis_is_said_with_its_time_and_reason() -> None:
    line = status_line(replace(GOOD, redis=Link(False, NOW_US, "connection refused")))
    assert line.mood is Mood.BROKEN
    assert line.text.startswith("Redis silent since ")
    assert line.text.endswith(": connection refused")
