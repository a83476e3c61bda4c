"""Pictures of every screen, compared with those that somebody has looked at.

After a change that is meant: ``pytest tests/integration/tui/test_pictures.py --snapshot-update``, and look.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from coffee_tui.app import CoffeeApp
from coffee_tui.feed.snapshot import Snapshot
from coffee_tui.feed.sources import Sources
from coffee_tui.widgets.picture import self_contained
from tests.integration.tui import scenes
from tests.unit.tui.scripted import ALL, NotedOrders, ScriptedFeed
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

Compare = Callable[..., bool]


@pytest.fixture(autouse=True)
def _still(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Pictures of one time zone, which name nothing on the network."""
    export = CoffeeApp.export_screenshot
    monkeypatch.setattr(CoffeeApp, "export_screenshot", lambda *args, **how: self_contained(export(*args, **how)))
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
) -> bool:
    feed, orders = ScriptedFeed(), NotedOrders()
    scenes.sent(orders.journal)
    running = CoffeeApp(Sources(ALL, feed, orders))
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
            await pilot.press(key)
            for field in running.screen.query(Input):
                field.cursor_blink = False
        await pilot.pause()

    return compare(running, terminal_size=size, run_before=show)


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
def test_page(snap_compare: Compare, size: tuple[int, int], key: str) -> None:
    assert _same(snap_compare, size, "dark", key=key)


@pytest.mark.parametrize("key", PAGES, ids=PAGES.get)
@pytest.mark.parametrize("theme", THEMES[1:])
def test_page_in_other_colours(snap_compare: Compare, theme: str, key: str) -> None:
    assert _same(snap_compare, (120, 40), theme, key=key)
