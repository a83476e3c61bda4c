"""A recording as one HTML file that plays in a browser without a network: the dashboard's own screen, by cells.

The screen is read from Textual's compositor, which is no public part of it. What a second program drew of the same
data in the browser would be another dashboard, and less true; and from one frame to the next little changes.
"""

import base64
import gzip
import html
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.resources import files
from string import Template
from typing import Any

from rich.cells import cell_len
from rich.color import Color
from rich.segment import Segment
from rich.style import Style

from coffee_core.pipelines import Pipeline
from coffee_tui.app import CoffeeApp
from coffee_tui.data.live import Publish
from coffee_tui.data.recording import Frame, ReplayedOrders
from coffee_tui.data.snapshot import OrdersView, Snapshot
from coffee_tui.data.sources import Sources
from coffee_tui.screens.live import columns_cells
from coffee_tui.theme import DEFAULT, GROUND, PALETTES, TEXT

_CELLS, _ROWS = 120, 40
"""Of the screen: wider where so many columns would not stand beside one another."""
_EVERY_S = 0.25
"""Seconds from one frame to the next at least: what is shown for less nobody reads."""
_FORMAT = "coffee-rt frames 1"
Announce = Callable[[float, float], None]
"""Takes the seconds of a recording that are done, and those of all of it."""


async def player_page(
    pipelines: tuple[Pipeline, ...], frames: Sequence[Frame], title: str, announce: Announce
) -> str:
    """Return a recording as a page."""
    screens = _Screens((max(_CELLS, columns_cells(len(pipelines))), _ROWS))
    await _render(pipelines, _thinned(frames), screens, announce)
    packed = gzip.compress(
        json.dumps(screens.as_json(), separators=(",", ":"), ensure_ascii=False).encode(), mtime=0
    )
    template = Template(files("coffee_tui.web").joinpath("player.html").read_text(encoding="utf-8"))
    return template.substitute(title=html.escape(title), frames=base64.b64encode(packed).decode())


def _thinned(frames: Sequence[Frame]) -> list[tuple[float, Snapshot, OrdersView]]:
    """Return what was shown at the end of each interval in which it changed, the last of all included."""
    found: list[tuple[float, Snapshot, OrdersView]] = []
    snapshot, orders = Snapshot(), OrdersView()
    for frame in frames:
        if isinstance(frame.value, Snapshot):
            snapshot = frame.value
        else:
            orders = frame.value
        if found and frame.at_s - found[-1][0] < _EVERY_S:
            found[-1] = (found[-1][0], snapshot, orders)
        else:
            found.append((frame.at_s, snapshot, orders))
    return found


class _Silent:
    """A feed that publishes what it is told."""

    publish: Publish

    async def run(self, publish: Publish) -> None:
        """Take what publishes; there is nothing to wait for."""
        self.publish = publish


async def _render(
    pipelines: tuple[Pipeline, ...],
    shown: Sequence[tuple[float, Snapshot, OrdersView]],
    screens: "_Screens",
    announce: Announce,
) -> None:
    feed, orders = _Silent(), ReplayedOrders()
    app = CoffeeApp(Sources(pipelines, feed, orders))
    async with app.run_test(size=screens.size) as pilot:
        while not hasattr(feed, "publish"):
            await pilot.pause()
        for at_s, snapshot, view in shown:
            feed.publish(replace(snapshot, mode=f"recording {at_s:3.0f} s"))
            orders.show(view)
            await pilot.pause()
            screens.add(at_s, app)
            announce(at_s, shown[-1][0])


class _Screens:
    """Frames: of each, the rows that differ from the frame before."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = size
        """Columns and rows."""
        self._styles: dict[tuple[Any, ...], int] = {}
        self._rows: dict[str, int] = {}
        self._last: list[int] = []
        self._frames: list[list[Any]] = []

    def add(self, at_s: float, app: CoffeeApp) -> None:
        """Take what an app shows at a moment."""
        now = [self._row(list(strip)) for strip in app.screen._compositor.render_strips()]  # noqa: SLF001
        before = self._last or [-1] * len(now)
        changed = [[y, row] for y, (row, old) in enumerate(zip(now, before, strict=True)) if row != old]
        if changed:
            self._frames.append([round(at_s, 2), changed])
        self._last = now

    def _row(self, segments: list[Segment]) -> int:
        """Return the number of a row: runs of (column, text, style)."""
        runs, x = [], 0
        for text, style, _ in segments:
            if text.strip() or (style is not None and style.bgcolor is not None):
                runs.append([x, text, self._style(style)])
            x += cell_len(text)
        return self._rows.setdefault(json.dumps(runs, separators=(",", ":"), ensure_ascii=False), len(self._rows))

    def _style(self, style: Style | None) -> int:
        palette = PALETTES[DEFAULT]
        ink, ground = palette[TEXT], palette[GROUND]
        bold = underline = False
        if style is not None:
            ink, ground = _hex(style.color, ink), _hex(style.bgcolor, ground)
            bold, underline = bool(style.bold), bool(style.underline)
            if style.reverse:
                ink, ground = ground, ink
        return self._styles.setdefault((ink, ground, int(bold), int(underline)), len(self._styles))

    def as_json(self) -> dict[str, Any]:
        """Return all frames as the player reads them."""
        return {
            "format": _FORMAT,
            "size": self.size,
            "styles": list(self._styles),
            "rows": [json.loads(row) for row in self._rows],
            "frames": self._frames,
        }


def _hex(colour: Color | None, default: str) -> str:
    return default if colour is None or colour.is_default else colour.get_truecolor().hex
