"""Windows: orders of the last ten minutes by their own time, as the pipelines keep them or ask for them."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from rich.text import Text
from textual.containers import ScrollableContainer
from textual.widget import Widget
from textual.widgets import Static

from coffee_core.clock import to_datetime
from coffee_core.menu import STORES
from coffee_core.pipelines import Pipeline, Windows
from coffee_core.settings import Settings
from coffee_core.windows import StoreSums
from coffee_tui.data.event_windows import WindowsView, read_api, read_redis
from coffee_tui.screens.base_screen import Page
from coffee_tui.theme import ACCENT, AMBER, DIM, GREY, RED, TEXT
from coffee_tui.widgets.format import clip, count, money

_TIME, _ORDERS, _MONEY, _STORE, _STATE = 6, 8, 13, 9, 9
_LEAST_BAR = 8
_FINAL, _OPEN = "━", "╍"
_Read = Callable[[Settings, Pipeline, WindowsView], Awaitable[WindowsView]]
_SOURCES: dict[Windows, tuple[_Read, float]] = {
    Windows.REDIS: (read_redis, 1.0),
    # Each time a scan of the pipeline's rows.
    Windows.ROWS: (read_api, 5.0),
}
"""Where windows are → who is asked, and every how many seconds; in the order of the panels."""
_SIDE_BY_SIDE = 110
_BELOW_ONE_ANOTHER = 34
"""Cells of width, and rows from which on long bars are worth more."""
_RECORDING = "a recording has no windows: start a lab with `coffee up`"
_NONE = "no pipeline that runs here keeps windows"
_NOTE = "an order counts where its own timestamp says; it is late once its minute is closed"


class WindowsScreen(Page):
    """The last windows of every pipeline that has some, one scale for all."""

    CSS = """
    #windows { layout: vertical; padding: 1 2; }
    #windows.wide { layout: horizontal; }
    .windows { width: 1fr; height: auto; margin: 0 2 1 0; }
    #note { padding: 0 2; height: auto; color: $c-grey; }
    """

    def __init__(self, settings: Callable[[], Settings | None]) -> None:
        super().__init__("Windows · orders a minute, by the orders' own time")
        self._settings = settings
        found = settings()
        running = found.pipelines if found else ()
        self._views = {
            pipeline: WindowsView() for kind in _SOURCES for pipeline in running if pipeline.info.windows is kind
        }
        self._panels = {pipeline: WindowsPanel(pipeline) for pipeline in self._views}
        self._why_none = _NONE if found else _RECORDING
        self._without = [pipeline for pipeline in running if pipeline not in self._views]

    def body(self) -> Iterable[Widget]:
        """Return a panel for each pipeline that has windows."""
        if not self._views:
            yield Static(self._why_none, id="message")
            return
        yield ScrollableContainer(*self._panels.values(), id="windows")
        without = f"{', '.join(self._without)} keep{'s' * (len(self._without) == 1)} no windows · "
        yield Static(without * bool(self._without) + _NOTE, id="note")

    def on_mount(self) -> None:
        """Begin to read."""
        for pipeline in self._views:
            self.run_worker(self._follow(pipeline), exit_on_error=True)

    def on_resize(self) -> None:
        """Stand side by side where there is room."""
        flat = self.size.width >= _SIDE_BY_SIDE and self.size.height < _BELOW_ONE_ANOTHER
        self.query("#windows").set_class(flat, "wide")
        self.call_after_refresh(self._draw)

    def text(self) -> str:
        """Return the figures."""
        if not self._views:
            return self._why_none
        return "\n\n".join(
            windows_text(pipeline, view, self._most(), 100).plain for pipeline, view in self._views.items()
        )

    async def _follow(self, pipeline: Pipeline) -> None:
        read, every_s = _SOURCES[pipeline.info.windows]
        while settings := self._settings():
            self._views[pipeline] = await read(settings, pipeline, self._views[pipeline])
            self._draw()
            await asyncio.sleep(every_s)

    def _most(self) -> int:
        known = [view.windows for view in self._views.values() if view.windows is not None]
        return max((sums.orders for windows in known for sums in windows.windows.values()), default=0)

    def _draw(self) -> None:
        for pipeline, panel in self._panels.items():
            panel.show(self._views[pipeline], self._most())


class WindowsPanel(Static):
    """The last windows of one pipeline: a bar for each minute, what came late below them."""

    def __init__(self, pipeline: Pipeline) -> None:
        super().__init__(classes="windows")
        self._pipeline = pipeline

    def show(self, view: WindowsView, most: int) -> None:
        """Draw; the longest bar there is, ``most`` orders, takes the room for bars."""
        self.update(windows_text(self._pipeline, view, most, self.content_size.width))


def windows_text(pipeline: Pipeline, view: WindowsView, most: int, width: int) -> Text:
    """Return the panel as text, ``width`` cells wide, each store apart where there is room."""
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(f"{pipeline}  {pipeline.info.title}", f"bold {ACCENT[pipeline]}")
    if view.windows is None:
        text.append("\n\n").append(clip(view.problem or "reading …", width), RED if view.problem else GREY)
        return text
    mark_us = view.windows.watermark_us
    mark = "no watermark yet" if mark_us is None else f"watermark {to_datetime(mark_us):%H:%M:%S} UTC"
    text.append(f"   {mark}\n", GREY)
    stores = width - _TIME - _LEAST_BAR - _ORDERS - _MONEY - _STATE >= _STORE * len(STORES)
    bar = max(_LEAST_BAR, width - _TIME - _ORDERS - _MONEY - _STATE - (_STORE * len(STORES) if stores else 0))
    heads = "".join(store.rjust(_STORE) for store in STORES) if stores else ""
    text.append(" " * (_TIME + bar) + "orders".rjust(_ORDERS) + "revenue".rjust(_MONEY) + heads + "\n", DIM)
    for start_s, sums in view.windows.windows.items():
        final = view.windows.is_final(start_s)
        cells = round(bar * sums.orders / most) if most else 0
        glyphs = (_FINAL if final else _OPEN) * max(cells, 1 if sums.orders else 0)
        text.append(f"{to_datetime(start_s * 1_000_000):%H:%M} ".ljust(_TIME), GREY)
        text.append(glyphs.ljust(bar), ACCENT[pipeline])
        _figures(text, sums, stores)
        text.append("final\n".rjust(_STATE + 1) if final else "open\n".rjust(_STATE + 1), DIM if final else AMBER)
    text.append("late".ljust(_TIME + bar), AMBER if view.windows.late.orders else GREY)
    _figures(text, view.windows.late, stores)
    text.append("ever".rjust(_STATE), DIM)
    if view.problem:
        text.append(f"\n× {clip(view.problem, width - 2)}", RED)
    return text


def _figures(text: Text, sums: StoreSums, stores: bool) -> None:
    text.append(count(sums.orders, _ORDERS), TEXT if sums.orders else DIM)
    text.append(money(sums.revenue_cents, _MONEY - 1).rjust(_MONEY), TEXT if sums.orders else DIM)
    if stores:
        for store in STORES:
            text.append(count(sums.store_counts.get(store, 0), _STORE), GREY)
