"""How numbers, bars and scales are drawn."""

from dataclasses import replace

import pytest

from coffee_core.pipelines import DEFAULT_PIPELINES
from coffee_core.pipelines.constants import V1, V3
from coffee_tui.data.connection import one_line
from coffee_tui.data.snapshot import KeyOrder, Snapshot, largest_count, largest_rate
from coffee_tui.widgets.charts import DASHBOARD_SCALE, bar, sparkline, time_axis
from coffee_tui.widgets.column import large
from coffee_tui.widgets.format import UNKNOWN, latency, money, rate, step, uptime
from coffee_tui.widgets.header import Header
from coffee_tui.widgets.latency_bar import axis
from coffee_tui.widgets.orders import keys_row
from tests.unit.coffee_tui.scripted import column


@pytest.mark.parametrize(
    ("span_us", "text"),
    [
        (None, UNKNOWN),
        (420, "0.42 ms"),
        (3_140, "3.1 ms"),
        (99_960, "100 ms"),
        (999_600, "1.0 s"),
        (5_100_000, "5.1 s"),
        (59_960_000, "1 min"),
        (7_200_000_000, "2 h"),
    ],
)
def test_latencies(span_us: float | None, text: str) -> None:
    assert latency(span_us) == text
    assert len(text) <= 7


def test_rates_money_uptime() -> None:
    assert [rate(None), rate(0.0), rate(0.31), rate(9.96), rate(1234.5)] == [
        "—",
        "0/s",
        "0.3/s",
        "10/s",
        "1,234/s",
    ]
    assert [step(0.1), step(5), step(1_000)] == ["0.1", "5", "1,000"]
    assert money(5_831_050, 20) == "$ 58,310.50"
    assert money(5_831_050, 10) == "$ 58,310"
    assert [uptime(None), uptime(761), uptime(11_561)] == ["—", "12:41", "3:12:41"]


def test_large_digits_keep_their_width() -> None:
    for number in (0, 7, 1_234, 9_999_999):
        assert {len(row) for row in large(f"{number:,}", 23)} == {23}


def test_a_log_axis_is_labelled_from_end_to_end() -> None:
    line = axis(100)
    assert len(line) == 100
    assert line.startswith("1 ms")
    assert line.endswith("60 s")
    assert DASHBOARD_SCALE.cell(1_000, 100) == 0
    assert DASHBOARD_SCALE.cell(60_000_000, 100) == 99
    assert DASHBOARD_SCALE.cell(1e12, 100) == 99


def test_sparklines_stack_their_rows_and_keep_gaps() -> None:
    assert sparkline([0.0, None, 1.0], 5, 1) == ["  ▁ █"]
    assert sparkline([0.5, 1.0], 2, 2) == [" █", "██"]
    assert sparkline([0.1] * 9, 3, 1) == ["▁▁▁"]


def test_a_time_axis_ends_now_and_has_its_minutes() -> None:
    line = time_axis(100, 2)
    assert len(line) == 100
    assert line.endswith("now")
    assert [line.index(f"−{minute} min") + 3 for minute in (1, 2, 3)] == [70, 40, 10]
    assert time_axis(20, 1).split() == ["now"]


def test_a_bar_shows_anything_above_nothing() -> None:
    assert [bar(0, 10), bar(0.001, 10), bar(0.5, 10), bar(3, 10)] == ["", "━", "━" * 5, "━" * 10]


def test_a_reason_is_the_operating_systems_word() -> None:
    assert one_line(ConnectionRefusedError(111, "Connect call failed ('127.0.0.1', 1)")) == "connection refused"
    assert one_line(TimeoutError()) == "no answer in time"
    assert one_line(ValueError("a  b")) == "a b"


def test_orders_by_key_fit_and_reasons_come_first() -> None:
    done = [
        KeyOrder(each, "cappuccino at downtown, $ 5.00", "acknowledged", 202, "", 43_500)
        for each in DEFAULT_PIPELINES
    ]
    narrow = keys_row(done, 78).plain
    assert len(narrow) <= 78
    assert narrow.count("43.5 ms") == 3
    assert keys_row(done, 166).plain.count("cappuccino at") == 3
    refused = KeyOrder(V3, "latte", "refused", 503, "Kafka does not answer", 900)
    row = keys_row([*done[:2], refused], 116).plain
    assert "refused 503 Kafka does not answer" in row
    assert len(row) <= 116


def test_shared_scales_end_at_a_round_number() -> None:
    view = column(V1)
    assert largest_count([view]) == 5_300
    assert largest_rate([view]) == 200
    assert largest_rate([replace(view, rate_history=(204.1, None))]) == 210
    assert largest_count([]) == 1
    assert largest_rate([]) == 1


@pytest.mark.parametrize("width", [200, 48])
def test_the_header_names_the_notch_of_the_durability_dial(width: int) -> None:
    header = Header()
    (plain,) = header.rows(width)
    assert "relaxed" not in plain.plain
    header.set_reactive(Header.snapshot, Snapshot(durability="relaxed"))
    (row,) = header.rows(width)
    assert "relaxed" in row.plain
