"""Faults: the menu of `coffee chaos`, what each teaches, and what the one that runs does to the pipelines."""

import time
from collections.abc import Callable, Iterable
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.binding import Binding, BindingType
from textual.widget import Widget
from textual.widgets import DataTable, Static

from coffee_tui.data.faults import FaultError, FaultInfo, Faults, FaultVerdict, FaultView, Phase, whole_menu
from coffee_tui.data.snapshot import PipelineView, Snapshot, largest_rate
from coffee_tui.keymap import named
from coffee_tui.screens.base_screen import Page
from coffee_tui.theme import ACCENT, AMBER, DIM, GREY, RED, TEXT
from coffee_tui.widgets.charts import sparkline, time_axis, with_fault_marks
from coffee_tui.widgets.format import compact, rate

_EVERY_S = 0.25
_MARGINS = 7
"""Cells of the menu's row that are no text."""
_TALL, _HIGH = 40, 2
"""From this many rows on the sparklines of the run are so many rows high."""
_RECORDING = "a recording breaks nothing: start a lab with `coffee up`"
_TEXT_CELLS = 120
"""Width of the run in the page's text."""
_NAME, _RATE, _BACK = 4, 9, 20


_LINK = Binding(
    "n",
    "link",
    "another link",
    tooltip="network lab: break the next link alone, after the last one all of them again",
    id="faults-link",
)


class FaultsScreen(Page):
    """A menu; below it the run. It goes on where the page is left: Live shows its effect."""

    KEYS: ClassVar[tuple[Binding, ...]] = (
        Binding(
            "enter",
            "strike",
            "break it",
            key_display="enter",
            tooltip="inflict the chosen fault",
            id="faults-strike",
        ),
        Binding(
            "k",
            "cancel",
            "cancel",
            tooltip="cancel the fault that runs: what is frozen goes on",
            id="faults-cancel",
        ),
        _LINK,
    )
    BINDINGS: ClassVar[list[BindingType]] = [*KEYS]

    def __init__(self, faults: Faults | None, now: Callable[[], Snapshot], under_load: Callable[[], bool]) -> None:
        super().__init__("Faults · {faults-strike} breaks it, under your load or its own")
        self._faults = faults
        self._now = now
        self._under_load = under_load
        self._menu: list[FaultInfo] = []
        self._why_not = faults.why_not() if faults else _RECORDING
        """Why nothing can be broken here; empty where it can."""
        self._drawn: object = None
        self._link = ""
        """The link that faults of the network are on; empty: every one."""

    def body(self) -> Iterable[Widget]:
        """Return the menu and the run."""
        yield Static(id="message")
        yield DataTable(cursor_type="row", id="menu")
        yield Static(id="run")

    def shown_keys(self) -> tuple[Binding, ...]:
        """Return the keys of this page; those that break something where something can be broken."""
        hidden = set() if any(fault.links for fault in self._menu) else {"link"}
        hidden |= {"strike", "cancel"} if self._why_not else set()
        return tuple(key for key in super().shown_keys() if key.action not in hidden)

    def on_mount(self) -> None:
        """Ask for the menu; then follow the run."""
        table = self.query_one(DataTable)
        table.focus()
        if self._why_not:
            self.set_title("Faults · what each teaches")
            self.query_one("#run", Static).update(Text(f"· {self._why_not}", AMBER))
            self.add_class("idle")
        else:
            self._draw()
            self.set_interval(_EVERY_S, self._draw)
        self._list()

    @work(exclusive=True)
    async def _list(self) -> None:
        message = self.query_one("#message", Static)
        message.update("asking `coffee chaos` …")
        try:
            if self._why_not or self._faults is None:
                self._menu = await whole_menu()
            else:
                self._menu = await self._faults.menu()
        except FaultError as error:
            message.update(str(error))
            return
        self._fill()

    def _fill(self) -> None:
        table = self.query_one(DataTable)
        chosen = table.cursor_row
        table.clear(columns=True)
        names = max((len(fault.name) for fault in self._menu), default=0)
        table.add_column("fault", width=names)
        table.add_column("what there is to see", width=max(1, self.size.width - names - _MARGINS))
        for fault in self._menu:
            table.add_row(Text(fault.name), Text(fault.teaches, no_wrap=True, overflow="ellipsis"))
        table.move_cursor(row=chosen)

    def on_data_table_row_highlighted(self, event: DataTable.RowHighlighted) -> None:
        """Show the whole of what the chosen fault teaches: the table has room for its beginning."""
        self._tell(event.cursor_row)

    def _tell(self, row: int) -> None:
        if 0 <= row < len(self._menu):
            fault = self._menu[row]
            another = named(self, "({faults-link}: another)")
            where = f"on {self._link or 'every link'} {another}: " if fault.links else ""
            self.query_one("#message", Static).update(where + fault.teaches)

    def action_link(self) -> None:
        """Choose the next link for the faults of the network."""
        links = ["", *next((fault.links for fault in self._menu if fault.links), ())]
        self._link = links[(links.index(self._link) + 1) % len(links)]
        self._tell(self.query_one(DataTable).cursor_row)

    def on_resize(self) -> None:
        """Fit the menu and the run to the cells there are."""
        self._drawn = None
        self._fill()

    def _draw(self) -> None:
        if self._why_not or self._faults is None:
            return
        width, now_s = self.size.width - 2, time.monotonic()
        drawn = (self._faults.view, int(now_s), self._now().pipelines, width)
        if drawn != self._drawn:
            self._drawn = drawn
            rows = _HIGH if self.size.height >= _TALL else 1
            self.query_one("#run", Static).update(fault_run(self._faults.view, self._now(), now_s, width, rows))

    def text(self) -> str:
        """Return the menu, and the run as it stands."""
        names = max((len(fault.name) for fault in self._menu), default=0)
        lines = [f"{fault.name:<{names}}  {fault.teaches}" for fault in self._menu]
        if self._why_not or self._faults is None:
            return "\n".join([*lines, "", self._why_not])
        run = fault_run(self._faults.view, self._now(), time.monotonic(), _TEXT_CELLS)
        return "\n".join([*lines, "", run.plain])

    def copied(self) -> str:
        """Return the run's verdict, else the text."""
        view = self._faults.view if self._faults else None
        verdicts = [f"{view.name} {verdict.figures}" for verdict in view.verdicts] if view else []
        return "\n".join(verdicts) or self.text()

    def on_data_table_row_selected(self) -> None:
        """Inflict the fault under the cursor: Enter, or a click on it."""
        self.action_strike()

    def action_strike(self) -> None:
        """Inflict the chosen fault."""
        row = self.query_one(DataTable).cursor_row
        if self._why_not or self._faults is None or not 0 <= row < len(self._menu):
            return
        if self._faults.view.running:
            cancels = named(self, "{faults-cancel} cancels it")
            self.app.notify(f"{self._faults.view.name} is under way: {cancels}", timeout=3)
            return
        fault = self._menu[row]
        run = self._faults.run(fault.name, self._link if fault.links else "", no_load=self._under_load())
        # Of the application, not of this page: it goes on where the page is left.
        self.app.run_worker(run, name="fault", exit_on_error=True)

    def action_cancel(self) -> None:
        """Cancel the fault that runs."""
        if self._faults is not None and self._faults.view.running:
            self._faults.cancel()


def fault_run(view: FaultView, snapshot: Snapshot, now_s: float, width: int, spark_rows: int = 1) -> Text:
    """Return a run in rows of at most ``width`` cells: where it stands, what each pipeline does, the verdict."""
    rows = [_headline(view, now_s)]
    cells = max(8, width - _NAME - _RATE - _BACK)
    top = largest_rate(snapshot.pipelines)
    verdicts = {verdict.pipeline: verdict for verdict in view.verdicts}
    back = dict(view.visible)
    for column in snapshot.pipelines:
        verdict = verdicts.get(column.pipeline)
        if verdict is not None and view.phase is Phase.ENDED:
            rows += _verdict(verdict)
        else:
            after = _back(column, back.get(column.pipeline), view)
            rows += _rate_rows(column, snapshot.faults, top, cells, spark_rows, after)
    if not (verdicts and view.phase is Phase.ENDED):
        rows.append(Text(" " * _NAME + time_axis(cells, 1) + f"≤{compact(round(top))}/s".rjust(_RATE), DIM))
    for row in rows:
        row.truncate(width, overflow="ellipsis")
    return Text("\n", no_wrap=True, end="").join(rows)


def _headline(view: FaultView, now_s: float) -> Text:
    if view.phase is Phase.IDLE:
        return Text("nothing broken yet: each pipeline's orders per second, marked while a fault is felt", GREY)
    if view.phase is Phase.ENDED:
        if view.trouble:
            return Text(f"× {view.name}: {view.trouble}", AMBER)
        if all(verdict.exact for verdict in view.verdicts):
            return Text(f"✓ {view.name}: not one order lost, duplicated or adrift", f"bold {TEXT}")
        return Text(f"× {view.name}: NOT EXACT", f"bold {RED}")
    row = Text("× " if view.felt else "… ", RED if view.felt else AMBER).append(view.name, f"bold {TEXT}")
    row.append(f"  {view.clock(now_s)}", RED if view.felt else AMBER)
    progress = view.progress.removeprefix(f"{view.name}: ")
    return row if progress == "now" else row.append(f"   {progress}", GREY)


def _rate_rows(
    column: PipelineView, faults: tuple[bool, ...], top: float, cells: int, spark_rows: int, after: Text
) -> list[Text]:
    accent = ACCENT[column.pipeline]
    lines = sparkline([None if per_s is None else per_s / top for per_s in column.rate_history], cells, spark_rows)
    # High ones stand apart.
    rows = [Text()] * (spark_rows > 1)
    rows += [Text(" " * _NAME).append(with_fault_marks(line, faults, accent, foot=False)) for line in lines[:-1]]
    last = Text(f"{column.pipeline}".ljust(_NAME), f"bold {accent}").append(
        with_fault_marks(lines[-1], faults, accent)
    )
    return [*rows, last.append(rate(column.rate).rjust(_RATE), TEXT).append(after)]


def _back(column: PipelineView, back_s: float | None, view: FaultView) -> Text:
    if back_s is not None:
        return Text(f"   back after {back_s:.1f} s", TEXT)
    waited_for = view.felt and column.pipeline in view.pipelines
    return Text("   not back yet" if waited_for else "", RED)


def _verdict(verdict: FaultVerdict) -> list[Text]:
    glyph, colour = ("✓", TEXT) if verdict.exact else ("×", RED)
    figures = verdict.figures.removeprefix(f"{verdict.pipeline}: ")
    row = Text(f"{verdict.pipeline}".ljust(_NAME), f"bold {ACCENT[verdict.pipeline]}")
    return [row.append(f"{glyph} {figures}", colour), *(Text(f"      {line}", RED) for line in verdict.wrong)]
