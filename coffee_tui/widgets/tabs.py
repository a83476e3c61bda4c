"""Where the terminal is too narrow for all columns: one at a time, and how the others stand."""

from rich.text import Text
from textual import events
from textual.message import Message
from textual.reactive import reactive

from coffee_core.pipelines import Pipeline
from coffee_tui.data.snapshot import PipelineView, Snapshot
from coffee_tui.keymap import named
from coffee_tui.theme import ACCENT, DIM, GREY, GROUND, MOOD, TEXT
from coffee_tui.widgets.format import latency
from coffee_tui.widgets.rows import RowsWidget

_TITLED = 76
"""From this many cells on the current pipeline's name is written out."""
_LATE, _TAB = "late ", 14
"""What stands before the tabs, and the cells of one with its latency: where they do not fit, only the current
one has it."""


class ColumnTabs(RowsWidget):
    """One row: each pipeline, the current one filled, with its glyph and how late it is; what is hidden."""

    DEFAULT_CSS = "ColumnTabs { height: 1; padding: 0 1; }"

    snapshot: reactive[Snapshot] = reactive(Snapshot(), repaint=False)
    """What to show."""
    current: reactive[int] = reactive(0)
    """Index of the column that is shown."""

    class Chosen(Message):
        """A tab was clicked."""

        def __init__(self, index: int) -> None:
            super().__init__()
            self.index = index

    def __init__(self, pipelines: tuple[Pipeline, ...]) -> None:
        super().__init__()
        self._pipelines = pipelines
        self._ends: list[int] = []

    def watch_snapshot(self, before: Snapshot, now: Snapshot) -> None:
        """Draw again only where a pipeline stands otherwise."""
        if _inputs(before) != _inputs(now):
            self.redraw()

    def rows(self, width: int) -> list[Text]:
        """Return the tabs, and at the right what is hidden and how to see it."""
        views = {view.pipeline: view for view in self.snapshot.pipelines}
        row, self._ends = Text(_LATE, GREY), []
        roomy = width >= len(_LATE) + _TAB * len(self._pipelines)
        for index, pipeline in enumerate(self._pipelines):
            view = views.get(pipeline, PipelineView(pipeline))
            glyph, colour = MOOD[view.status_line.mood]
            title = f" {pipeline.info.title}" if width >= _TITLED else ""
            if index == self.current:
                row.append(f" {pipeline}{title} ", f"bold {GROUND} on {ACCENT[pipeline]}")
            else:
                row.append(f" {pipeline} ", f"bold {ACCENT[pipeline]}")
            row.append(glyph, colour)
            figure = roomy or index == self.current
            row.append(f"{latency(view.dashboard.p50_us):>8} " if figure else " ", TEXT)
            self._ends.append(row.cell_len)
        others = " ".join(name for index, name in enumerate(self._pipelines) if index != self.current)
        key = named(self, "{column}")
        hints = (f"{key} shows {others}", f"{key}: {others}") if others else ()
        hint = next((text for text in hints if row.cell_len + len(text) < width), "")
        return [row.append(hint.rjust(width - row.cell_len), DIM)]

    def on_click(self, event: events.Click) -> None:
        """Choose the tab under the pointer."""
        x = event.x - self.styles.padding.left
        index = next((index for index, end in enumerate(self._ends) if x < end), None)
        if index is not None:
            self.post_message(self.Chosen(index))


def _inputs(snapshot: Snapshot) -> object:
    return [(view.status_line.mood, view.dashboard.p50_us) for view in snapshot.pipelines]
