"""Where the terminal is too narrow for three columns: one at a time, and how the others stand."""

from rich.text import Text
from textual import events
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from coffee_core.pipelines import INFO, Pipeline
from coffee_tui.feed.snapshot import Mood, Snapshot
from coffee_tui.theme import ACCENT, DIM, GREY, GROUND, MOOD

_HINT = "tab: next"


class ColumnTabs(Widget):
    """One row: each pipeline's name, the current one filled, the glyph of its last line."""

    DEFAULT_CSS = "ColumnTabs { text-wrap: nowrap; text-overflow: clip; height: 1; padding: 0 1; display: none; }"

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
        if [view.sentence.mood for view in before.pipelines] != [view.sentence.mood for view in now.pipelines]:
            self.refresh()

    def render(self) -> Text:
        """Draw the tabs, and at the right how to change."""
        moods = {view.pipeline: view.sentence.mood for view in self.snapshot.pipelines}
        row, self._ends = Text(no_wrap=True, overflow="crop", end=""), []
        for index, pipeline in enumerate(self._pipelines):
            glyph, colour = MOOD[moods.get(pipeline, Mood.CALM)]
            if index == self.current:
                row.append(f" {pipeline} {INFO[pipeline].title} ", f"bold {GROUND} on {ACCENT[pipeline]}")
            else:
                row.append(f" {pipeline} ", ACCENT[pipeline]).append(glyph, colour)
            row.append(" ", GREY)
            self._ends.append(row.cell_len)
        gap = self.size.width - row.cell_len - len(_HINT)
        return row.append(" " * gap + _HINT, DIM) if gap > 0 else row

    def on_click(self, event: events.Click) -> None:
        """Choose the tab under the pointer."""
        x = event.x - self.styles.padding.left
        index = next((index for index, end in enumerate(self._ends) if x < end), None)
        if index is not None:
            self.post_message(self.Chosen(index))
