"""The one question: how late is the dashboard? A row for each pipeline on one logarithmic axis."""

from itertools import groupby

from rich.text import Text
from textual.reactive import reactive

from coffee_tui.data.snapshot import PipelineView, Snapshot
from coffee_tui.theme import ACCENT, GREY, RED, RULE, TEXT
from coffee_tui.widgets.charts import DASHBOARD_SCALE
from coffee_tui.widgets.format import latency
from coffee_tui.widgets.rows import RowsWidget

TITLE = "How late is the dashboard?"
_LABEL = 33
_TICKS = ((1e3, "1 ms"), (1e4, "10 ms"), (1e5, "100 ms"), (1e6, "1 s"), (1e7, "10 s"), (6e7, "60 s"))


class LatencyBar(RowsWidget):
    """A dot for p50, a bar to p99; a dotted line that grows while nothing is shown."""

    DEFAULT_CSS = "LatencyBar { height: 4; padding: 0 2; }"

    snapshot: reactive[Snapshot] = reactive(Snapshot(), repaint=False)
    """What to show."""

    def watch_snapshot(self, before: Snapshot, now: Snapshot) -> None:
        """Draw again only where something in the band has changed."""
        if _inputs(before) != _inputs(now):
            self.redraw()

    def rows(self, width: int) -> list[Text]:
        """Return the axis and one row for each pipeline."""
        cells = max(20, width - _LABEL)
        rows = [Text(TITLE.ljust(_LABEL), f"bold {TEXT}").append(axis(cells), f"not bold {GREY}")]
        names = max((len(view.pipeline) for view in self.snapshot.pipelines), default=0)
        return [*rows, *(_row(view, names, cells) for view in self.snapshot.pipelines)]


def _inputs(snapshot: Snapshot) -> object:
    return [(view.pipeline, view.dashboard, view.stalled_s) for view in snapshot.pipelines]


def axis(cells: int) -> str:
    """Return the labels of the axis, each with its middle over its tick as far as the ends allow."""
    line = [" "] * cells
    free = 0
    for value_us, label in _TICKS:
        start = DASHBOARD_SCALE.cell(value_us, cells) - len(label) // 2
        start = max(free, min(start, cells - len(label)))
        if start + len(label) <= cells:
            line[start : start + len(label)] = label
            free = start + len(label) + 1
    return "".join(line)


def _row(view: PipelineView, names: int, cells: int) -> Text:
    accent = ACCENT[view.pipeline]
    figures = f"none shown for {view.stalled_s} s" if view.stalled_s is not None else _figure(view)
    row = Text(f"  {view.pipeline.ljust(names)}  ", f"bold {accent}")
    row.append(figures.ljust(_LABEL - row.cell_len), TEXT)
    line: list[tuple[str, str]] = [("─", RULE)] * cells
    p50_us, p99_us = view.dashboard.p50_us, view.dashboard.p99_us
    if p50_us is not None and p99_us is not None:
        first, last = DASHBOARD_SCALE.cell(p50_us, cells), DASHBOARD_SCALE.cell(p99_us, cells)
        line[first : last + 1] = [("━", accent)] * (last + 1 - first)
        line[last] = ("┫", accent)
        line[first] = ("●", accent)
    if view.stalled_s is not None:
        _dotted(line, view.stalled_s * 1e6, p99_us)
    # One span for each run of a colour: what a frame costs is its spans, not its cells.
    for colour, run in groupby(line, key=lambda cell: cell[1]):
        row.append("".join(glyph for glyph, _ in run), colour)
    return row


def _figure(view: PipelineView) -> str:
    if view.dashboard.p50_us is None:
        return "—"
    return f"p50 {latency(view.dashboard.p50_us):>7}  p99 {latency(view.dashboard.p99_us):>7}"


def _dotted(line: list[tuple[str, str]], stalled_us: float, from_us: float | None) -> None:
    end = DASHBOARD_SCALE.cell(stalled_us, len(line))
    start = 0 if from_us is None else DASHBOARD_SCALE.cell(from_us, len(line)) + 1
    for cell in range(start, end):
        line[cell] = ("┄", RED)
    line[end] = ("×", RED)
