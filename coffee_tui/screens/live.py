"""The Live screen: owns what is shown; its widgets are bound to it."""

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.reactive import reactive
from textual.screen import Screen
from textual.widgets import Footer

from coffee_core.pipelines import Pipeline
from coffee_tui.feed.snapshot import Snapshot, largest_count, largest_rate
from coffee_tui.messages import Fed
from coffee_tui.widgets.column import PipelineColumn
from coffee_tui.widgets.header import Header
from coffee_tui.widgets.lateness import Lateness
from coffee_tui.widgets.parts import Parts

ROOMY_ROWS = 38
"""From this many rows on the sparklines are two rows high and the blocks stand apart."""
BAND_ROWS = 30
"""From this many rows on the band above the columns is there."""


class LiveScreen(Screen[None]):
    """Three columns, a header, the order panel."""

    CSS_PATH = "live.tcss"

    snapshot: reactive[Snapshot] = reactive(Snapshot())
    """What is shown."""

    def __init__(self, pipelines: tuple[Pipeline, ...]) -> None:
        super().__init__()
        self._columns = {pipeline: PipelineColumn(pipeline) for pipeline in pipelines}

    def compose(self) -> ComposeResult:
        """Lay out the screen."""
        yield Header().data_bind(LiveScreen.snapshot)
        yield Parts().data_bind(LiveScreen.snapshot)
        yield Lateness().data_bind(LiveScreen.snapshot)
        with Horizontal(id="columns"):
            yield from self._columns.values()
        yield Footer()

    def on_fed(self, message: Fed) -> None:
        """Take a newer snapshot."""
        self.snapshot = message.snapshot

    def watch_snapshot(self, snapshot: Snapshot) -> None:
        """Hand each column its view and the scales that all of them share."""
        top_rate, top_count = largest_rate(snapshot.pipelines), largest_count(snapshot.pipelines)
        for view in snapshot.pipelines:
            column = self._columns[view.pipeline]
            column.view = view
            column.top_rate, column.top_count = top_rate, top_count
        self.set_class(snapshot.redis.up is False, "no-redis")
        self.set_class(snapshot.coming_up or not snapshot.redis.up, "coming-up")

    def on_resize(self) -> None:
        """Fit the layout to the rows there are."""
        rows = self.app.size.height
        self.set_class(rows >= ROOMY_ROWS, "roomy")
        self.set_class(rows >= BAND_ROWS, "band")
        for column in self._columns.values():
            column.spark_rows = 2 if rows >= ROOMY_ROWS else 1
