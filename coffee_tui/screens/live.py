"""The Live screen: owns what is shown; its widgets are bound to it. Its layout follows the terminal's size."""

from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import ClassVar

from textual.actions import parse
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.events import Resize
from textual.message import Message
from textual.reactive import reactive

from coffee_core.pipelines import PIPELINES, Pipeline
from coffee_tui.data.snapshot import OrdersView, PipelineView, Snapshot, largest_count, largest_rate
from coffee_tui.data.sources import Sources
from coffee_tui.data.tour import Look, TourStep
from coffee_tui.keymap import named
from coffee_tui.screens.base_screen import HELP, BaseScreen
from coffee_tui.screens.compare import CompareScreen
from coffee_tui.screens.costs import CostsScreen
from coffee_tui.screens.faults import FaultsScreen
from coffee_tui.screens.lag import LagScreen
from coffee_tui.screens.load import LoadScreen
from coffee_tui.screens.logs import LogsScreen, local_logs
from coffee_tui.screens.sent_orders import SentOrdersScreen
from coffee_tui.screens.windows import WindowsScreen
from coffee_tui.screens.xray import XRayScreen
from coffee_tui.tour import Tour
from coffee_tui.widgets.caption import CAPTION_ROWS, CaptionView, TourCaption
from coffee_tui.widgets.column import PipelineColumn, shared_costs_text
from coffee_tui.widgets.format import UNKNOWN, in_words, latency, money, rate
from coffee_tui.widgets.header import Header
from coffee_tui.widgets.keybar import KeyBar
from coffee_tui.widgets.latency_bar import LatencyBar
from coffee_tui.widgets.orders import OrdersPanel, order_key
from coffee_tui.widgets.parts import Parts
from coffee_tui.widgets.rows import Shared
from coffee_tui.widgets.tabs import ColumnTabs

KEYS: tuple[Binding, ...] = (
    *(
        Binding(
            order_key(pipeline),
            f"order('{pipeline}')",
            str(pipeline) if index else f"order {pipeline}",
            tooltip=f"one order into {pipeline} ({pipeline.info.title})",
            id=f"order-{pipeline}",
        )
        for index, pipeline in enumerate(PIPELINES)
    ),
    Binding("a", f"order('{','.join(PIPELINES)}')", "all", tooltip="one order into each", id="order-all"),
    Binding("space", "load", "start/stop", tooltip="start or stop the load", id="load"),
    Binding("plus,equals_sign", "rate(1)", "rate", key_display="+", tooltip="more orders per second", id="more"),
    Binding("minus", "rate(-1)", "", key_display="-", show=False, tooltip="fewer orders per second", id="fewer"),
    Binding("g", "plan", "settings", tooltip="the load's settings: shape, rate, mix, shares", id="settings"),
    Binding("i", "into", "into", tooltip="choose which pipelines get the load", id="into"),
    Binding(
        "b",
        "burst",
        "burst",
        tooltip="a burst into each chosen pipeline, as large as the settings say",
        id="burst",
    ),
    Binding("x", "faults", "break", tooltip="break a part on purpose, and see what it costs", id="faults"),
    Binding("c", "compare", "compare", tooltip="what is claimed, and what was measured just now", id="compare"),
    Binding("o", "sent", "orders", tooltip="the latest orders, and where each is", id="orders"),
    Binding(
        "w",
        "windows",
        "windows",
        tooltip="orders a minute by their own time, and those that came late",
        id="windows",
    ),
    Binding("r", "xray", "x-ray", tooltip="the last order as what it really was, line by line", id="xray"),
    Binding("k", "lag", "lag", tooltip="what waits, by partition and by consumer, and until when", id="lag"),
    Binding("u", "costs", "costs", tooltip="what the load costs, part by part", id="costs"),
    Binding("l", "logs", "logs", tooltip="the log of each process", id="logs"),
    Binding("p", "pause", "pause", tooltip="hold the view, or the recording; data goes on", id="pause"),
    Binding("T", "tour", "tour", tooltip="a talk of ten minutes that drives the lab, or the recording", id="tour"),
    Binding("right", "tour_move(1)", "on", show=False, tooltip="talk: on", key_display="→", id="tour-on"),
    Binding("left", "tour_move(-1)", "back", show=False, tooltip="talk: back", key_display="←", id="tour-back"),
    Binding("escape", "tour_end", "end", show=False, tooltip="talk: end it", key_display="esc", id="tour-end"),
    *BaseScreen.COMMON_KEYS,
    Binding("full_stop", "step", "step", key_display=".", tooltip="recording: one snapshot on", id="step"),
    Binding(
        "greater_than_sign,right_square_bracket",
        "faster(1)",
        "faster",
        key_display=">",
        show=False,
        tooltip="recording: faster",
        id="faster",
    ),
    Binding(
        "less_than_sign,left_square_bracket",
        "faster(-1)",
        "slower",
        key_display="<",
        show=False,
        tooltip="recording: slower",
        id="slower",
    ),
    Binding(
        "tab", "column", "", show=False, tooltip="the next column, where there is room for one alone", id="column"
    ),
    HELP,
    Binding("q", "app.quit", "quit", tooltip="quit (so does Ctrl-C)", id="quit"),
)
"""Every key, in the order of the footer; the footer and the help are made from them."""

# The layout, in cells and rows.

COLUMNS_CELLS = 100
"""From this many cells on up to three columns are there; below, one at a time."""
_COLUMN_CELLS = 34
"""Cells that each column needs where there are more than three."""
_WIDE_CELLS = 50
"""From this many cells for each column on it has a margin inside."""
_FEWEST = 3
"""Fewer columns are laid out as so many."""
_HEADER, _TABS, _ORDERS, _FRAME, _KEYS = 1, 1, 3, 2, 1
_COLUMN = 21
"""Rows of a column whose sections stand one below the other: 2 + 3 + 4 + 3 + 4 + 3 + 2."""
_BREAKDOWNS = 7
"""Rows of them, of which a talk does not speak."""
_ALONE = 14
"""Rows of one whose breakdowns stand beside its figures: 2 + 7 + 3 + 2."""
COLUMNS_ROWS = _HEADER + _FRAME + _COLUMN + _ORDERS + _KEYS
"""From this many rows on they are there."""
MOST_GAPS = 5
"""Empty rows between the sections of a column."""
_AIR = 3
"""Rows above and below the band, and the one in the order panel for the load's settings."""
_SPARKS = 3
"""Sparklines: each gets a row more at a time."""
_HIGHEST_SPARK = 3
_LOWEST_CHART = 9


class SnapshotChanged(Message):
    """The feed has a newer snapshot; it replaces one that still waits in the queue."""

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__()
        self.snapshot = snapshot

    def can_replace(self, message: Message) -> bool:
        """Return True for an older snapshot: only the newest matters."""
        return isinstance(message, SnapshotChanged)


class OrdersChanged(Message):
    """The order panel has changed; it replaces an older such message that still waits in the queue."""

    def __init__(self, orders: OrdersView) -> None:
        super().__init__()
        self.orders = orders

    def can_replace(self, message: Message) -> bool:
        """Return True for an older view: only the newest matters."""
        return isinstance(message, OrdersChanged)


class LiveScreen(BaseScreen):
    """A header, the band, one column for each pipeline, the order panel."""

    CSS_PATH = "live.tcss"
    BINDINGS: ClassVar[list[BindingType]] = list(KEYS)

    # None of these repaints the screen, which would be every cell of it: its widgets are bound to them.
    snapshot: reactive[Snapshot] = reactive(Snapshot(), repaint=False)
    """The feed's newest, unless the view is held."""
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
        self._header, self._band = Header(), LatencyBar()
        self._caption = TourCaption()
        self._tour: Tour | None = None
        self._step: TourStep | None = None
        """What the talk speaks of; None: there is no talk."""
        self._room = layout_for(80, 24, len(self._pipelines))
        self._band.styles.height = band_rows(len(self._pipelines))
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
        yield self._caption
        yield KeyBar(self.bound(KEYS), lambda key: self.check_action(*parse(key.action)[1:]) is not False)

    def on_snapshot_changed(self, message: SnapshotChanged) -> None:
        """Take a newer snapshot; where the view is held, for later."""
        self._newest = message.snapshot
        if not self.paused:
            self.snapshot = message.snapshot

    def on_orders_changed(self, message: OrdersChanged) -> None:
        """Take a newer view of the orders."""
        self.orders = message.orders

    def watch_snapshot(self, snapshot: Snapshot) -> None:
        """Hand each column its view and the scales that all of them share."""
        self._show()
        self._panel.set_border_subtitle(shared_costs_text(snapshot.shared))
        self._band.set_stale(stale=snapshot.redis.up is False)
        self._panel.set_stale(stale=snapshot.api.up is False)
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
            pipelines=self._pipelines,
            top_rate=largest_rate(snapshot.pipelines),
            top_count=largest_count(snapshot.pipelines),
            fault_marks=snapshot.faults,
            spark_rows=room.spark_rows,
            chart_rows=room.chart_rows,
            gaps=room.gaps,
            alone=room.alone,
            brief=self._step is not None,
            looks=frozenset(map(str, self._step.looks)) if self._step else frozenset(),
            looked_at=frozenset(self._step.pipelines) if self._step else frozenset(),
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
        self._fit(*event.size)

    def _fit(self, cells: int, rows: int) -> None:
        columns = len(self._pipelines)
        self._room = layout_for(cells, rows, columns, talk=self._step is not None)
        hint = f"all {in_words(columns)} from {columns_cells(columns)} × {COLUMNS_ROWS}"
        self._header.hint = hint if self._room.alone else ""
        for name in ("alone", "band", "framed", "lifted", "airy", "wide"):
            self.set_class(getattr(self._room, name), name)
        self._show()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide the keys of pipelines that are not run here, and those of a recording where there is none."""
        if action in ("step", "faster"):
            return self._sources.player is not None
        if action in ("tour_move", "tour_end"):
            return self._tour is not None
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

    def action_tour(self) -> None:
        """Begin the talk; end it where one is under way."""
        if self._tour is not None:
            self._tour.end()
        else:
            self.app.run_worker(self.talk(), name="tour", exit_on_error=True)

    def action_tour_end(self) -> None:
        """End the talk, where one is under way."""
        if self._tour is not None:
            self._tour.end()

    def action_tour_move(self, by: int) -> None:
        """Go on in the talk, or back."""
        if self._tour is not None:
            self._tour.move(by)

    async def talk(self, hold_s: float | None = None) -> None:
        """Give the talk to its end; with ``hold_s`` by itself, so many seconds a step once it is done."""
        self._tour = Tour(
            self._sources,
            self._read_newest,
            lambda: self.orders,
            self._show_step,
            partial(named, self),
        )
        try:
            await self._tour.run(hold_s)
            self.app.notify(named(self, "the talk is over: {tour} begins it again"), timeout=3)
        finally:
            self._tour = None
            self.query_one(KeyBar).redraw()

    def _read_newest(self) -> Snapshot:
        return self._newest or self.snapshot

    def _show_step(self, step: TourStep | None, caption: CaptionView) -> None:
        changed, self._step = step is not self._step, step
        self._caption.show(caption)
        if not changed:
            return
        self.set_class(step is not None, "talk")
        self._band.set_class(step is not None and Look.BAND in step.looks, "look")
        if step is not None and step.pipelines:
            self.current = self._pipelines.index(step.pipelines[0])
        self._fit(*self.size)
        self.query_one(KeyBar).redraw()

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
        self.app.push_screen(FaultsScreen(self._sources.faults, self._read_newest, lambda: self.orders.running))

    def action_compare(self) -> None:
        """Compare what is claimed with what was measured."""
        self.app.push_screen(CompareScreen(self._pipelines, self._read_newest))

    def action_sent(self) -> None:
        """Show the latest orders."""
        attachment = self._sources.attachment
        self.app.push_screen(
            SentOrdersScreen(self._orders.journal, lambda: attachment.settings if attachment else None)
        )

    def action_windows(self) -> None:
        """Show the last windows in event time."""
        attachment = self._sources.attachment
        self.app.push_screen(WindowsScreen(lambda: attachment.settings if attachment else None))

    def action_xray(self) -> None:
        """Show the last order of each pipeline as what it really was."""
        attachment = self._sources.attachment
        self.app.push_screen(
            XRayScreen(
                self._pipelines,
                self._orders.journal,
                lambda: attachment.settings if attachment else None,
                lambda pipeline: self._orders.order([pipeline]),
            )
        )

    def action_lag(self) -> None:
        """Show what waits before each consumer."""
        attachment = self._sources.attachment
        self.app.push_screen(LagScreen(lambda: attachment.settings if attachment else None, self._read_newest))

    def action_costs(self) -> None:
        """Show what each part costs."""
        self.app.push_screen(CostsScreen(self._pipelines, self._read_newest))

    def action_logs(self) -> None:
        """Show the log of each process."""
        attachment = self._sources.attachment
        none = "a recording has no logs: start a lab with `coffee up`"
        self.app.push_screen(LogsScreen(local_logs(attachment.settings) if attachment else none))

    def text(self) -> str:
        """Return the figures of all columns."""
        return summary(self.snapshot)

    def shown_keys(self) -> list[Binding]:
        """Return the keys that do something here."""
        return [key for key in self.bound(KEYS) if self.check_action(*parse(key.action)[1:])]


def choices(pipelines: tuple[Pipeline, ...]) -> list[tuple[Pipeline, ...]]:
    """Return the sets of pipelines to choose from: all of them, each alone, then each pair."""
    sets = [pipelines, *combinations(pipelines, 1), *combinations(pipelines, 2)]
    return list(dict.fromkeys(sets))


@dataclass(frozen=True, slots=True)
class Layout:
    """What there is room for on the Live screen, the most important things first."""

    alone: bool
    """One column at a time, with tabs."""
    band: bool
    """The band above the columns is there."""
    framed: bool
    """The order panel has a frame, and the columns a margin."""
    lifted: bool
    """An empty row stands above the band, where there is room for no more air."""
    airy: bool
    """The band stands apart, and the order panel has a row for the load's settings."""
    wide: bool
    """The columns have a wide margin."""
    gaps: int
    """Empty rows between the sections of a column, the most important ones first."""
    spark_rows: int
    """Rows of each sparkline; of the rate's alone where there is a chart."""
    chart_rows: int
    """Rows of the latency chart; 0: there is none."""


def layout_for(cells: int, rows: int, columns: int = _FEWEST, *, talk: bool = False) -> Layout:
    """Share out a terminal of so many cells and rows between so many columns.

    In a ``talk`` its caption stands in the place of the order panel, and of the breakdowns.
    """
    column, below = (_COLUMN - _BREAKDOWNS, CAPTION_ROWS) if talk else (_COLUMN, _ORDERS)
    alone = cells < columns_cells(columns) or rows < _HEADER + _FRAME + column + below + _KEYS
    left = rows - _HEADER - below - _KEYS - (_TABS + _ALONE if alone else _FRAME + column)
    band, left = _take(left, band_rows(columns))
    framed, left = (False, left) if talk else _take(left, _FRAME)
    gaps = min(MOST_GAPS, max(0, left))
    left -= gaps
    airy, left = _take(left if gaps == MOST_GAPS else 0, _AIR)
    lifted = left > 0 and band and not airy
    left -= lifted
    high = _HIGHEST_SPARK - 1
    chart = left - high - 1 if left > high + _LOWEST_CHART else 0
    more = high if chart else min(high, max(0, left) // _SPARKS)
    return Layout(
        alone, band, framed, lifted, airy, cells >= _WIDE_CELLS * max(_FEWEST, columns), gaps, 1 + more, chart
    )


def _take(left: int, rows: int) -> tuple[bool, int]:
    return (True, left - rows) if left >= rows else (False, left)


def columns_cells(columns: int) -> int:
    """Return from how many cells on so many columns stand beside one another."""
    return COLUMNS_CELLS if columns <= _FEWEST else _COLUMN_CELLS * columns


def band_rows(columns: int) -> int:
    """Return the rows of the band: its axis, and one for each column."""
    return 1 + max(_FEWEST, columns)


def summary(snapshot: Snapshot) -> str:
    """Return one line for each pipeline."""
    return "\n".join(_line(view) for view in snapshot.pipelines)


def _line(view: PipelineView) -> str:
    orders = UNKNOWN if view.orders is None else f"{view.orders:,}"
    return " · ".join(
        (
            f"{view.pipeline} {orders} orders",
            money(view.revenue_cents, 80),
            rate(view.rate),
            f"API p50 {latency(view.api.p50_us)} p99 {latency(view.api.p99_us)}",
            f"dashboard p50 {latency(view.dashboard.p50_us)} p99 {latency(view.dashboard.p99_us)}",
            view.status_line.whole,
        )
    )
