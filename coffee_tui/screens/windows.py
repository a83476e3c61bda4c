"""Windows: orders of the last ten minutes by their own time, as v3 keeps them and as v1 asks for them."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from textual.containers import ScrollableContainer
from textual.widget import Widget
from textual.widgets import Static

from coffee_core.pipelines import Pipeline
from coffee_core.settings import Settings
from coffee_tui.feed.windows_reader import WindowsView, read_v1, read_v3
from coffee_tui.screens.page import Page
from coffee_tui.widgets.windows import WindowsPanel, lines

_SOURCES: dict[Pipeline, tuple[Callable[[Settings, WindowsView], Awaitable[WindowsView]], float]] = {
    Pipeline.V3: (read_v3, 1.0),
    # Each time a scan of its partition.
    Pipeline.V1: (read_v1, 5.0),
}
"""Who is asked, and every how many seconds."""
_SIDE_BY_SIDE = 110
_BELOW_ONE_ANOTHER = 34
"""Cells of width, and rows from which on long bars are worth more."""
_NONE = "a recording has no windows: start a lab with `coffee up`"
_NOTE = "v2 keeps no windows · an order counts where its own timestamp says; it is late once its minute is closed"


class WindowsScreen(Page):
    """The last windows of v3 and v1, one scale for both."""

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
        self._views = {each: WindowsView() for each in _SOURCES if each in running}
        self._panels = {each: WindowsPanel(each) for each in self._views}

    def body(self) -> Iterable[Widget]:
        """Return a panel for each pipeline that has windows."""
        if not self._views:
            yield Static(_NONE, id="say")
            return
        yield ScrollableContainer(*self._panels.values(), id="windows")
        yield Static(_NOTE, id="note")

    def on_mount(self) -> None:
        """Begin to read."""
        for pipeline in self._views:
            self.run_worker(self._follow(pipeline), exit_on_error=True)

    def on_resize(self) -> None:
        """Stand side by side where there is room."""
        flat = self.size.width >= _SIDE_BY_SIDE and self.size.height < _BELOW_ONE_ANOTHER
        self.query("#windows").set_class(flat, "wide")
        self.call_after_refresh(self._draw)

    def copied(self) -> str:
        """Return the figures."""
        return "\n\n".join(lines(each, view, self._most(), 100).plain for each, view in self._views.items())

    async def _follow(self, pipeline: Pipeline) -> None:
        read, every_s = _SOURCES[pipeline]
        while settings := self._settings():
            self._views[pipeline] = await read(settings, self._views[pipeline])
            self._draw()
            await asyncio.sleep(every_s)

    def _most(self) -> int:
        known = [view.windows for view in self._views.values() if view.windows is not None]
        return max((sums.orders for each in known for sums in each.windows.values()), default=0)

    def _draw(self) -> None:
        for pipeline, panel in self._panels.items():
            panel.show(self._views[pipeline], self._most())
