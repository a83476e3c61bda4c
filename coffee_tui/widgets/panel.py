"""The base of everything in a column."""

from rich.text import Text
from textual.reactive import reactive
from textual.widget import Widget

from coffee_core.pipelines import Pipeline
from coffee_tui.feed.snapshot import PipelineView
from coffee_tui.theme import ACCENT


class ColumnPanel(Widget):
    """One block of a column, bound to its view: drawn again only where its part of that has changed."""

    DEFAULT_CSS = "ColumnPanel { text-wrap: nowrap; text-overflow: clip; height: auto; }"

    view: reactive[PipelineView] = reactive(PipelineView(Pipeline.V1), repaint=False)
    """What to show."""

    def drawn_from(self, view: PipelineView) -> object:
        """Return the part of a view that the rows are made of."""
        raise NotImplementedError

    def watch_view(self, before: PipelineView, now: PipelineView) -> None:
        """Draw again only where something in this block has changed."""
        if before.pipeline is not now.pipeline or self.drawn_from(before) != self.drawn_from(now):
            self.refresh()

    def rows(self, view: PipelineView, width: int) -> list[Text]:
        """Return the rows, each at most ``width`` cells wide."""
        raise NotImplementedError

    def render(self) -> Text:
        """Draw the rows."""
        return Text("\n", no_wrap=True, overflow="crop", end="").join(self.rows(self.view, self.size.width))

    @property
    def accent(self) -> str:
        """Colour of the pipeline."""
        return ACCENT[self.view.pipeline]
