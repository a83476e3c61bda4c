"""Pictures of every screen, compared with those that somebody has looked at.

After a change that is meant: ``pytest tests/integration/coffee_tui/test_pictures.py --slow --snapshot-update``,
and look.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.segment import Segment
from textual.pilot import Pilot
from textual.widgets import Input

from coffee_tui.app import CoffeeApp
from coffee_tui.data.snapshot import Snapshot
from coffee_tui.data.sources import Sources
from coffee_tui.screens import faults, lag, sent_orders, windows, xray
from coffee_tui.theme import PALETTES
from coffee_tui.widgets.screenshot import self_contained
from tests.integration.coffee_tui import page_scenes, scenes
from tests.unit.coffee_tui.scripted import ALL, NotedOrders, ScriptedFeed, screen_strips, screen_text
from tests.waiting import until

Size = tuple[int, int]
SIZES: tuple[Size, ...] = ((60, 20), (80, 24), (120, 40), (220, 60))
THEMES = (*PALETTES, "no colour")


@dataclass(frozen=True)
class Picture:
    """What is on a picture."""

    keys: tuple[str, ...] = ()
    """Keys that lead to it."""
    scene: Callable[[], Snapshot] = scenes.healthy
    """What the pipelines do."""
    filled: str = ""
    """Words that are there once it is filled."""
    attached: bool = True
    """Whether there is a stack to ask; else it is a recording."""
    current: int = 0
    """The column that stands alone where there is no room for three."""
    sizes: tuple[Size, ...] = SIZES
    """Sizes in cells and rows."""


ROOM: tuple[Size, ...] = ((100, 30), (160, 48))
"""Sizes of a screen that a room full of people sees."""
STATE = ((60, 20), (120, 40))
PICTURES = {
    "live": Picture(),
    "compare": Picture(("c",)),
    "orders": Picture(("o",), filled="when is not known"),
    "logs": Picture(("l", "left"), filled="redis is back"),
    "windows": Picture(("w",), filled="watermark"),
    "faults": Picture(("x",), scenes.part_down, "not back yet"),
    "x-ray": Picture(("r", "right"), filled="counted once", sizes=(*ROOM, (80, 24))),
    "lag": Picture(("k",), filled="draining", sizes=(*ROOM, (80, 24))),
    "costs": Picture(("u",), scenes.loaded, "all parts", sizes=(*ROOM, (80, 24))),
    "load": Picture(("g",), filled="shape"),
    "help": Picture(("question_mark",)),
    "help of a page": Picture(("l", "question_mark"), sizes=STATE),
    "filter": Picture(("o", "slash", *"latte"), filled="when is not known", sizes=STATE),
    "palette": Picture(("ctrl+p",), filled="break a part on purpose", sizes=STATE),
    "coming up": Picture(scene=scenes.coming_up, sizes=STATE),
    "part down": Picture(scene=scenes.part_down, current=2, sizes=STATE),
    "standstill": Picture(scene=scenes.standstill, current=2, sizes=STATE),
    "backlog": Picture(scene=scenes.backlog, current=1, sizes=STATE),
    "connection lost": Picture(scene=scenes.connection_lost, sizes=STATE),
    "API silent": Picture(scene=scenes.api_silent, sizes=STATE),
    "recording's orders": Picture(("o",), filled="nobody to ask", attached=False, sizes=((80, 24),)),
    "recording's logs": Picture(("l",), filled="has no logs", attached=False, sizes=((80, 24),)),
    "recording's x-ray": Picture(("r",), filled="start a lab", attached=False, sizes=((80, 24),)),
    "recording's lag": Picture(("k",), filled="has no lags", attached=False, sizes=((80, 24),)),
    "recording's windows": Picture(("w",), filled="has no windows", attached=False, sizes=((80, 24),)),
    "recording's faults": Picture(
        ("x", "down"),
        filled="an acknowledged XADD survives",
        attached=False,
        sizes=((80, 24), (100, 30), (160, 48)),
    ),
}
DARK = next(iter(PALETTES))


def _marks(picture: Picture, size: Size, theme: str) -> tuple[pytest.MarkDecorator, ...]:
    """Draw every size in dark and one in every theme; the rest is the same again, a quarter of a second each."""
    in_every_theme = (120, 40) if (120, 40) in picture.sizes else picture.sizes[-1]
    return () if theme == DARK or size == in_every_theme else (pytest.mark.slow,)


DRAWN = [
    pytest.param(
        picture, size, theme, id=f"{name} {size[0]}x{size[1]} {theme}", marks=_marks(picture, size, theme)
    )
    for name, picture in PICTURES.items()
    for size in picture.sizes
    for theme in (THEMES if size == (120, 40) and not picture.keys else PALETTES)
]


@pytest.fixture(autouse=True)
def _still(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Pictures of one time zone and of one moment, which name nothing on the network."""
    export = CoffeeApp.export_screenshot
    monkeypatch.setattr(CoffeeApp, "export_screenshot", lambda *args, **how: self_contained(export(*args, **how)))
    monkeypatch.setattr(faults, "whole_menu", page_scenes.whole_menu)
    monkeypatch.setattr(sent_orders, "fetch_journey", page_scenes.journey)
    monkeypatch.setattr(lag, "read_lag", page_scenes.lag)
    monkeypatch.setattr(lag, "LagHistory", page_scenes.lag_history)
    monkeypatch.setattr(lag, "time", SimpleNamespace(monotonic=lambda: 0.0))
    monkeypatch.setattr(lag, "_EVERY_S", 3_600)
    monkeypatch.setattr(xray, "fetch_xray", page_scenes.xray)
    monkeypatch.setattr(windows, "_SOURCES", dict.fromkeys(windows._SOURCES, (page_scenes.windows, 3_600)))
    monkeypatch.setattr(faults, "time", SimpleNamespace(monotonic=lambda: page_scenes.STRUCK_S + 4))
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(("picture", "size", "theme"), DRAWN)
def test_picture(
    snap_compare: Callable[..., bool],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    picture: Picture,
    size: Size,
    theme: str,
) -> None:
    monkeypatch.setattr(Input.cursor_blink, "_default", False)
    if theme not in PALETTES:
        monkeypatch.setenv("NO_COLOR", "1")
    feed, orders = ScriptedFeed(), NotedOrders()
    page_scenes.sent(orders.journal)
    stack = page_scenes.attachment(tmp_path) if picture.attached else None
    staged = page_scenes.StagedFaults(stack) if stack else None
    running = CoffeeApp(Sources(ALL, feed, orders, attachment=stack, faults=staged))
    running.theme = theme if theme in PALETTES else running.theme
    assert snap_compare(running, terminal_size=size, run_before=partial(_show, running, feed, orders, picture))


async def _show(
    running: CoffeeApp, feed: ScriptedFeed, orders: NotedOrders, picture: Picture, pilot: Pilot[Any]
) -> None:
    orders.views.put_nowait(scenes.orders())
    # Once everything has been up, a part that is away is shown where it stands.
    for each in (*([scenes.healthy()] if picture.scene is not scenes.coming_up else []), picture.scene()):
        feed.queue.put_nowait(each)
        await until(lambda each=each: running.live.snapshot == each)
    await until(lambda: running.live.orders.running)
    running.live.current = picture.current
    await pilot.press(*picture.keys)
    await until(lambda: picture.filled in screen_text(running))
    await drawn(running, pilot)


async def drawn(running: CoffeeApp, pilot: Pilot[Any]) -> None:
    """Wait until two looks have seen the same."""
    seen: list[list[list[Segment]]] = []

    async def is_still() -> bool:
        # Once is not enough: Textual believes that a process that gets no processor time has nothing to do.
        await pilot.pause()
        seen.append([list(strip) for strip in screen_strips(running)])
        return seen[-2:-1] == seen[-1:]

    await until(is_still)
