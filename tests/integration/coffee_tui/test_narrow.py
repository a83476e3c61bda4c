"""A narrow terminal: one column at a time, by key and by mouse; the keys that fit, help and quit always."""

from dataclasses import replace

from textual.binding import Binding

from coffee_core.pipelines import DEFAULT_PIPELINES
from coffee_core.pipelines.constants import V2
from coffee_tui.data.snapshot import Health, PartView, Stage
from coffee_tui.screens.live import COLUMNS_CELLS, COLUMNS_ROWS, KEYS
from coffee_tui.widgets.column import Chain
from coffee_tui.widgets.keybar import KeyBar, fitting
from coffee_tui.widgets.rows import Shared
from coffee_tui.widgets.tabs import ColumnTabs
from tests.unit.coffee_tui.scripted import app, column, screen_text, snapshot
from tests.waiting import until

BROKEN = Health.BROKEN


async def test_one_column_at_a_time_by_key_and_by_mouse() -> None:
    running, feed, _ = app()
    async with running.run_test(size=(60, 20)) as pilot:
        names = ("cafe-order-aggregator", "cafe-order-api", "flink-job", "postgres", "redis", "stream-worker")
        parts = (PartView("kafka", Health.BROKEN, "backoff"), *(PartView(one, Health.GOOD, "up") for one in names))
        feed.queue.put_nowait(snapshot(parts=parts))
        await until(lambda: "all is well with v1" in screen_text(running))
        text = screen_text(running)
        assert "all is well with v2" not in text
        assert "kafka ×" in text
        assert "6 of 7 parts" in text
        for words in ("southend", "58,310.50", "tab: v2 v3", "? help", "q quit"):
            assert words in text
        await pilot.press("tab")
        assert "all is well with v2" in screen_text(running)
        await pilot.click(ColumnTabs, offset=(2, 0))
        assert "all is well with v1" in screen_text(running)
        await pilot.press("tab", "tab", "tab")
        assert "all is well with v1" in screen_text(running), "after the last comes the first"
        feed.queue.put_nowait(snapshot(parts=parts[1:] * 2))
        await until(lambda: f"all three from {COLUMNS_CELLS} × {COLUMNS_ROWS}" in screen_text(running))


async def test_a_click_on_a_key_is_the_key() -> None:
    running, _, orders = app()
    async with running.run_test(size=(120, 30)) as pilot:
        row = screen_text(running).splitlines()[-1]
        await pilot.click(KeyBar, offset=(row.index("start/stop"), 0))
        assert orders.asked == ["toggle"]


def test_the_bar_keeps_help_and_quit() -> None:
    shown = [key for key in KEYS if key.show]
    names = [key.description for key in fitting(shown, 40)]
    assert names[-2:] == ["help", "quit"]
    assert len(names) < len(shown)
    assert fitting(shown, 400) == shown
    assert fitting([Binding("a", "a", "x" * 50), *shown[-2:]], 10) == shown[-2:]


def test_chains_of_all_columns_are_spaced_alike() -> None:
    views = {each: column(each) for each in DEFAULT_PIPELINES}
    for width, arrow in ((48, "──→ "), (36, "→"), (31, "→"), (27, "→")):
        for pipeline, view in views.items():
            row = Chain().rows(view, width, Shared())[0].plain
            assert len(row) <= width
            assert row.count(arrow) == len(pipeline.info.chain) - 1


def test_a_broken_stage_is_seen_by_its_glyph() -> None:
    view = replace(column(V2), chain=(Stage("POST", Health.GOOD), Stage("worker", Health.BROKEN)))
    assert "× worker" in Chain().rows(view, 60, Shared())[0].plain


def test_orders_pile_up_before_the_broken_stage() -> None:
    stages = (Stage("POST", Health.GOOD, 204.0), Stage("stream", Health.GOOD, 0.0, 1_369), Stage("worker", BROKEN))
    parts, links = (row.plain for row in Chain().rows(replace(column(V2), chain=stages), 60, Shared()))
    assert "▪→ × worker" in parts
    assert links.split() == ["204/s", "▪1,369"]
    assert abs(links.index("▪1,369") - parts.index("▪")) < 4, "the number stands below the pile"


def test_what_is_in_hand_is_no_pile() -> None:
    stages = (Stage("POST", Health.GOOD, 204.0), Stage("stream", Health.GOOD, 200.0, 150), Stage("worker", BROKEN))
    for worker, below in ((Health.GOOD, "200/s"), (BROKEN, "▪150")):
        view = replace(column(V2), chain=(*stages[:2], Stage("worker", worker)))
        assert Chain().rows(view, 60, Shared())[1].plain.split() == ["204/s", below]
