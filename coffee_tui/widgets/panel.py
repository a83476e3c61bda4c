"""The base of everything in a column."""

from rich.text import Text
from textual.reactive import reactive
from textual.widget import Widget

from coffee_core.pipelines import Pipeline
from coffee_tui.feed.snapshot import PipelineView
from coffee_tui.theme import ACCENT


class ColumnPanel(Widget):
    """One block of a column, bound to the column's view: drawn again only where the view has changed."""

    DEFAULT_CSS = "ColumnPanel { text-wrap: nowrap; text-overflow: clip; height: auto; }"

    view: reactive[PipelineView] = reactive(PipelineView(Pipeline.V1))
    """What to show."""

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
