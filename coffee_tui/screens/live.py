"""The Live screen: owns what is shown; its widgets are bound to it."""

from typing import ClassVar

from textual.actions import parse
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.events import Resize
from textual.reactive import reactive

from coffee_core.pipelines import Pipeline
from coffee_tui.feed.logs import local_logs
from coffee_tui.feed.orders_view import OrdersView
from coffee_tui.feed.snapshot import Snapshot, largest_count, largest_rate
from coffee_tui.feed.sources import Sources
from coffee_tui.messages import Fed, Ordered
from coffee_tui.screens.compare import CompareScreen
from coffee_tui.screens.faults import FaultsScreen
from coffee_tui.screens.keys import KEYS, choices
from coffee_tui.screens.load import LoadScreen
from coffee_tui.screens.logs import LogsScreen
from coffee_tui.screens.manners import Manners
from coffee_tui.screens.plan import COLUMNS_CELLS, COLUMNS_ROWS, plan
from coffee_tui.screens.sent import SentScreen
from coffee_tui.screens.windows import WindowsScreen
from coffee_tui.widgets.block import Shared
from coffee_tui.widgets.column import PipelineColumn
from coffee_tui.widgets.costs import said_shared
from coffee_tui.widgets.header import Header
from coffee_tui.widgets.keybar import KeyBar
from coffee_tui.widgets.lateness import Lateness
from coffee_tui.widgets.orders import OrdersPanel
from coffee_tui.widgets.parts import Parts
from coffee_tui.widgets.summary import summary
from coffee_tui.widgets.tabs import ColumnTabs


class LiveScreen(Manners):
    """A header, the band, one column for each pipeline, the order panel."""

    CSS_PATH = "live.tcss"
    BINDINGS: ClassVar[list[BindingType]] = list(KEYS)

    # None of these repaints the screen, which would be every cell of it: its widgets are bound to them.
    snapshot: reactive[Snapshot] = reactive(Snapshot(), repaint=False)
    """What the feed said last."""
    orders: reactive[OrdersView] = reactive(OrdersView(), repaint=False)
    """What the order panel shows."""
    current: reactive[int] = reactive(0, repaint=False)
    """Index of the column that is shown where there is room for one alone."""

    paused: reactive[bool] = reactive(False, repaint=False)
    """Whether the view is held; data goes on."""

    def __init__(self, sources: Sources, *, welcome: bool = False) -> None:
        super().__init__()
        self._sources = sources
        self._pipelines = sources.pipelines
        self._columns = {pipeline: PipelineColumn(pipeline) for pipeline in sources.pipelines}
        self._orders = sources.orders
        self._panel = OrdersPanel(self._pipelines, welcome=welcome)
        self._header, self._band = Header(), Lateness()
        self._room = plan(80, 24)
        self._newest: Snapshot | None = None
        self._has_been_up = False

    def compose(self) -> ComposeResult:
        """Lay out the screen."""
        yield self._header.data_bind(LiveScreen.snapshot, LiveScreen.paused)
        yield Parts().data_bind(LiveScreen.snapshot)
        yield self._band.data_bind(LiveScreen.snapshot)
        yield ColumnTabs(self._pipelines).data_bind(LiveScreen.snapshot, LiveScreen.current)
        with Horizontal(id="columns"):
            yield from self._columns.values()
        yield self._panel.data_bind(LiveScreen.orders)
        yield KeyBar(KEYS, lambda key: self.check_action(*parse(key.action)[1:]) is not False)

    def on_fed(self, message: Fed) -> None:
        """Take a newer snapshot; where the view is held, for later."""
        self._newest = message.snapshot
        if not self.paused:
            self.snapshot = message.snapshot

    def on_ordered(self, message: Ordered) -> None:
        """Take a newer view of the orders."""
        self.orders = message.orders

    def watch_snapshot(self, snapshot: Snapshot) -> None:
        """Hand each column its view and the scales that all of them share."""
        self._show()
        self._panel.frame_says(said_shared(snapshot.shared))
        self._band.show_old(old=snapshot.redis.up is False)
        self._panel.show_old(old=snapshot.api.up is False)
        # Once everything has been up, a part that breaks is shown where it stands: the band stays, and grows.
        if snapshot.parts:
            links_down = snapshot.redis.up is False and snapshot.api.up is False
            self._has_been_up = not snapshot.coming_up or (self._has_been_up and not links_down)
        self.set_class(snapshot.coming_up and not self._has_been_up, "coming-up")

    def _show(self) -> None:
        """Hand each column its view and what all of them share."""
        snapshot, room = self.snapshot, self._room
        links = (("redis", snapshot.redis), ("api", snapshot.api))
        shared = Shared(
            top_rate=largest_rate(snapshot.pipelines),
            top_count=largest_count(snapshot.pipelines),
            marks=snapshot.faults,
            spark_rows=room.spark_rows,
            chart_rows=room.chart_rows,
            gaps=room.gaps,
            alone=room.alone,
            silent=frozenset(name for name, link in links if link.up is False),
        )
        for view in snapshot.pipelines:
            if view.pipeline in self._columns:
                self._columns[view.pipeline].show(view, shared)

    def watch_current(self, current: int) -> None:
        """Mark the column that a narrow terminal shows."""
        for index, column in enumerate(self._columns.values()):
            column.set_class(index == current, "current")

    def on_column_tabs_chosen(self, message: ColumnTabs.Chosen) -> None:
        """Show the column whose tab was clicked."""
        self.current = message.index

    def on_resize(self, event: Resize) -> None:
        """Fit the layout to the cells there are."""
        self._room = plan(event.size.width, event.size.height)
        self._header.hint = f"all three from {COLUMNS_CELLS} × {COLUMNS_ROWS}" if self._room.alone else ""
        for name in ("alone", "band", "framed", "lifted", "airy", "wide"):
            self.set_class(getattr(self._room, name), name)
        self._show()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide the keys of pipelines that are not run here, and those of a recording where there is none."""
        if action in ("step", "faster"):
            return self._sources.player is not None
        return action != "order" or bool(self._named(str(parameters[0])))

    def _named(self, names: str) -> list[Pipeline]:
        return [pipeline for pipeline in self._pipelines if pipeline in names.split(",")]

    def action_order(self, names: str) -> None:
        """Send one order into each named pipeline (comma-separated) that this dashboard shows."""
        # One argument: Textual passes an action with *args its first argument alone.
        self._orders.order(self._named(names))

    def action_load(self) -> None:
        """Start or stop the load."""
        self._orders.toggle()

    def action_rate(self, steps: int) -> None:
        """Choose another rate."""
        self._orders.change_rate(steps)

    def action_into(self) -> None:
        """Choose the next set of pipelines."""
        sets = choices(self._pipelines)
        at = sets.index(self.orders.plan.pipelines) if self.orders.plan.pipelines in sets else -1
        self._orders.choose(sets[(at + 1) % len(sets)])

    def action_plan(self) -> None:
        """Choose the load's settings."""
        self.app.push_screen(LoadScreen(self._pipelines, self.orders.plan, self._orders.follow))

    def action_column(self) -> None:
        """Show the next column, where there is room for one alone."""
        self.current = (self.current + 1) % len(self._columns)

    def action_burst(self) -> None:
        """Send a burst."""
        self._orders.burst()

    def action_pause(self) -> None:
        """Hold the recording; where there is none, the view: data goes on."""
        if self._sources.player is not None:
            self._sources.player.pause()
            return
        self.paused = not self.paused
        if not self.paused and self._newest is not None:
            self.snapshot = self._newest

    def action_step(self) -> None:
        """Show the next snapshot of the recording."""
        if self._sources.player is not None:
            self._sources.player.step()

    def action_faster(self, steps: int) -> None:
        """Choose another speed of the recording."""
        if self._sources.player is not None:
            self._sources.player.faster(steps)

    def action_faults(self) -> None:
        """Break something on purpose."""
        self.app.push_screen(
            FaultsScreen(self._sources.faults, lambda: self.snapshot, lambda: self.orders.running)
        )

    def action_compare(self) -> None:
        """Compare what is claimed with what was measured."""
        self.app.push_screen(CompareScreen(lambda: self.snapshot))

    def action_sent(self) -> None:
        """Show the latest orders."""
        attachment = self._sources.attachment
        self.app.push_screen(SentScreen(self._orders.journal, lambda: attachment.settings if attachment else None))

    def action_windows(self) -> None:
        """Show the last windows in event time."""
        attachment = self._sources.attachment
        self.app.push_screen(WindowsScreen(lambda: attachment.settings if attachment else None))

    def action_logs(self) -> None:
        """Show the log of each process."""
        attachment = self._sources.attachment
        none = "a recording has no logs: start a lab with `coffee up`"
        self.app.push_screen(LogsScreen(local_logs(attachment.settings) if attachment else none))

    def copied(self) -> str:
        """Return the figures of all columns."""
        return summary(self.snapshot)

    def shown_keys(self) -> list[Binding]:
        """Return the keys that do something here."""
        return [key for key in KEYS if self.check_action(*parse(key.action)[1:])]
