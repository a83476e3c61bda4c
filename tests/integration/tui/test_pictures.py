"""Pictures of every screen, compared with those that somebody has looked at.

After a change that is meant: ``pytest tests/integration/tui/test_pictures.py --snapshot-update``, and look.
"""

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from coffee_core.pipelines import Pipeline
from coffee_tui.app import CoffeeApp
from coffee_tui.feed.snapshot import Snapshot
from coffee_tui.feed.sources import Sources
from coffee_tui.screens import faults, sent, windows
from coffee_tui.widgets.picture import self_contained
from tests.integration.tui import page_scenes, scenes
from tests.unit.tui.scripted import ALL, NotedOrders, ScriptedFeed, screen_text
from tests.waiting import until

SIZES = ((60, 20), (80, 24), (120, 40), (220, 60))
THEMES = ("dark", "light", "terminal")
STATES = (scenes.part_down, scenes.backlog, scenes.connection_lost)
PAGES = {
    "c": "compare",
    "o": "orders",
    "l": "logs",
    "w": "windows",
    "x": "faults",
    "g": "load",
    "question_mark": "help",
}
OF_A_STACK = ("o", "l", "w", "x")
"""Pages that a recording cannot fill."""

Compare = Callable[..., bool]


@pytest.fixture(autouse=True)
def _still(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Pictures of one time zone and of one moment, which name nothing on the network."""
    export = CoffeeApp.export_screenshot
    monkeypatch.setattr(CoffeeApp, "export_screenshot", lambda *args, **how: self_contained(export(*args, **how)))
    monkeypatch.setattr(sent, "ask", page_scenes.journey)
    monkeypatch.setattr(
        windows, "_SOURCES", dict.fromkeys((Pipeline.V3, Pipeline.V1), (page_scenes.windows, 3_600))
    )
    monkeypatch.setattr(faults, "time", SimpleNamespace(monotonic=lambda: page_scenes.STRUCK_S + 4))
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def _same(
    compare: Compare,
    size: tuple[int, int],
    theme: str,
    scene: Callable[[], Snapshot] = scenes.healthy,
    key: str = "",
    home: Path | None = None,
) -> bool:
    feed, orders = ScriptedFeed(), NotedOrders()
    page_scenes.sent(orders.journal)
    stack = page_scenes.attachment(home) if home else None
    staged = page_scenes.StagedFaults(stack) if stack else None
    running = CoffeeApp(Sources(ALL, feed, orders, attachment=stack, faults=staged))
    running.theme = theme

    async def show(pilot: Pilot[Any]) -> None:
        orders.views.put_nowait(scenes.orders())
        for each in (scenes.healthy(), scene()):
            feed.queue.put_nowait(each)
            await until(lambda each=each: running.live.snapshot == each)
        await until(lambda: running.live.orders.running)
        # One column alone: the one that it is about.
        running.live.current = {scenes.backlog: 1, scenes.part_down: 2}.get(scene, 0)
        if key:
            await pilot.press(key, *(["left"] if PAGES[key] == "logs" and home else []))
            await until(partial(_is_filled, running, PAGES[key], home))
            for field in running.screen.query(Input):
                field.cursor_blink = False
        await pilot.pause()

    return compare(running, terminal_size=size, run_before=show)


def _is_filled(running: CoffeeApp, page: str, home: Path | None) -> bool:
    text = screen_text(running)
    return {
        "orders": "when is not known" if home else "nobody to ask",
        "logs": "redis is back" if home else "has no logs",
        "windows": "watermark" if home else "has no windows",
        "faults": "not back yet" if home else "breaks nothing",
    }.get(page, "") in text


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_live(snap_compare: Compare, size: tuple[int, int], theme: str) -> None:
    assert _same(snap_compare, size, theme)


@pytest.mark.parametrize("scene", STATES, ids=lambda scene: scene.__name__)
@pytest.mark.parametrize("size", [(60, 20), (120, 40)], ids=str)
def test_live_in_trouble(snap_compare: Compare, size: tuple[int, int], scene: Callable[[], Snapshot]) -> None:
    assert _same(snap_compare, size, "dark", scene)


@pytest.mark.parametrize("key", PAGES, ids=PAGES.get)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_page(snap_compare: Compare, tmp_path: Path, size: tuple[int, int], key: str) -> None:
    assert _same(snap_compare, size, "dark", _scene_of(key), key, tmp_path)


@pytest.mark.parametrize("key", PAGES, ids=PAGES.get)
@pytest.mark.parametrize("theme", THEMES[1:])
def test_page_in_other_colours(snap_compare: Compare, tmp_path: Path, theme: str, key: str) -> None:
    assert _same(snap_compare, (120, 40), theme, _scene_of(key), key, tmp_path)


def _scene_of(key: str) -> Callable[[], Snapshot]:
    return scenes.part_down if PAGES[key] == "faults" else scenes.healthy


@pytest.mark.parametrize("key", OF_A_STACK, ids=PAGES.get)
def test_page_of_a_recording(snap_compare: Compare, key: str) -> None:
    assert _same(snap_compare, (80, 24), "dark", key=key)
