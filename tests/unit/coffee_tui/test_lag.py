"""Trends of lags, and what load costs: the right value, or that it is not known."""

import random
from collections.abc import Callable

import pytest

from coffee_core.pipelines.constants import V1, V2
from coffee_core.runstate import Cost
from coffee_tui.data.lag import Course, LagHistory, LagRow, LagView, Trend, trend
from coffee_tui.data.load_costs import LoadCosts
from coffee_tui.data.snapshot import PartCost
from coffee_tui.screens.lag import lag_text


def _readings(value: Callable[[int], float], count: int = 7) -> list[tuple[float, int]]:
    return [(float(second), round(value(second))) for second in range(count)]


def test_a_line_has_its_slope_and_its_end() -> None:
    assert trend(_readings(lambda second: 100 + 50 * second)) == Trend(Course.GROWING, pytest.approx(50))
    draining = trend(_readings(lambda second: 10_000 - 980 * second))
    assert (draining.course, draining.per_s) == (Course.DRAINING, pytest.approx(-980))
    assert draining.level_in_s == pytest.approx((10_000 - 980 * 6) / 980)


@pytest.mark.parametrize(
    "value",
    [
        lambda _: 0.0,
        lambda _: 700.0,
        lambda second: 4.0 + second % 2,
        lambda second: 500.0 + 40 * (-1) ** second,
        lambda second: max(0.0, 3_000.0 - 900 * second),
    ],
    ids=["nothing", "steady", "a few in hand", "up and down", "level again"],
)
def test_what_leads_nowhere_is_level(value: Callable[[int], float]) -> None:
    assert trend(_readings(value)).course is Course.LEVEL


def test_noise_hides_no_slope_that_is_there() -> None:
    chance = random.Random(7)
    assert trend(_readings(lambda second: 5_000 + 300 * second + chance.gauss(0, 60))).course is Course.GROWING


@pytest.mark.parametrize("count", [0, 1, 3])
def test_of_too_few_readings_nothing_is_known(count: int) -> None:
    assert trend(_readings(lambda second: 100 * second + 1, count)) == Trend()


def test_a_row_that_is_not_known_makes_its_group_unknown() -> None:
    history = LagHistory()
    known, other = LagRow("group", "0", "one", 5), LagRow("group", "1", "one", None)
    for second in range(6):
        history.add(second, [known, other if second == 5 else LagRow("group", "1", "one", 100 * second)])
    assert history.trend("group").course is Course.UNKNOWN
    assert history.past("group") == []
    assert history.trend(*known.place).course is Course.LEVEL
    assert "—" in lag_text(V2, LagView((known, other)), history, "", 100).plain.splitlines()[1]


def test_a_partition_that_changes_hands_keeps_its_trend() -> None:
    history = LagHistory()
    for second in range(7):
        history.add(second, [LagRow("group", "0", f"member-{second}", 100 + 60 * second)])
    assert history.trend(*LagRow("group", "0", None, 0).place).per_s == pytest.approx(60)


def test_who_reads_is_said_or_that_nobody_knows() -> None:
    rows = tuple(LagRow("group", str(at), who, 3, "not stored") for at, who in enumerate(("coffee-one", "", None)))
    lines = lag_text(V2, LagView(rows), LagHistory(), "", 120).plain.splitlines()
    assert [line.partition("read by")[2].strip() for line in lines[2:]] == [
        "coffee-one · not stored",
        "nobody · not stored",
        ": not known · not stored",
    ]


def test_a_pipeline_without_a_log_says_what_its_rows_wait_for() -> None:
    said = lag_text(V1, LagView(()), LagHistory(), "rows to be shown: 40 · in step at next run, in 4 s", 100).plain
    assert "its rows are its log · rows to be shown: 40 · in step at next run" in said


def test_what_cannot_be_read_is_said() -> None:
    said = lag_text(V2, LagView(None, "the API is away"), LagHistory(), "", 100).plain
    assert said.endswith("× the API is away")


def _costs(worker: float, api: float) -> dict[str, Cost]:
    return {"stream-worker-1": Cost(worker, 50_000_000), "cafe-order-api": Cost(api, 67_400_000)}


def test_load_costs_what_it_adds_to_rest() -> None:
    costs = LoadCosts()
    costs.note(0, _costs(0.02, 0.05), {"v1": 10, "v2": 10})
    costs.note(3, _costs(0.01, 0.04), {"v1": 10, "v2": 10})
    assert [part.rest_percent for part in costs.parts] == [None, None], "one calm span may still work off another"
    costs.note(6, _costs(0.011, 0.041), {"v1": 10, "v2": 10})
    costs.note(9, _costs(0.161, 0.341), {"v1": 310, "v2": 910})
    assert costs.parts == (
        PartCost("cafe-order-api", "", 34, 4, 750, 67),
        PartCost("stream-worker-1", "v2", 16, 1, 500, 50),
    )


def test_an_order_has_no_price_before_rest_was_seen_or_while_few_come() -> None:
    costs = LoadCosts()
    costs.note(0, _costs(0.02, 0.05), {"v2": 0})
    costs.note(3, _costs(0.2, 0.3), {"v2": 600})
    assert [part.us_per_order for part in costs.parts] == [None, None]
    costs.note(6, _costs(0.01, 0.03), {"v2": 600})
    costs.note(9, _costs(0.011, 0.031), {"v2": 600})
    costs.note(12, _costs(0.012, 0.032), {"v2": 603})
    assert [part.us_per_order for part in costs.parts] == [None, None]
    assert [part.rest_percent for part in costs.parts] == [3, 1]
