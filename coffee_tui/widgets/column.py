"""One pipeline from its name to its last line."""

from textual.app import ComposeResult
from textual.containers import Container, Vertical
from textual.reactive import reactive

from coffee_core.pipelines import INFO, Pipeline
from coffee_tui.feed.snapshot import Mood, PipelineView
from coffee_tui.widgets.account import Audit
from coffee_tui.widgets.blocks import Said, Totals
from coffee_tui.widgets.breakdown import Drinks, Stores
from coffee_tui.widgets.chain import Chain
from coffee_tui.widgets.chart import LatencyChart
from coffee_tui.widgets.costs import said_cost
from coffee_tui.widgets.pace import Pace


class PipelineColumn(Vertical):
    """A column; its blocks are bound to its view and to the scales that all columns share."""

    view: reactive[PipelineView] = reactive(PipelineView(Pipeline.V1), repaint=False)
    """What to show."""
    top_rate: reactive[float] = reactive(1.0, repaint=False)
    """Orders per second at the top of the rate's sparkline."""
    top_count: reactive[int] = reactive(1, repaint=False)
    """Orders of a bar of full length."""
    marks: reactive[tuple[bool, ...]] = reactive((), repaint=False)
    """Seconds in which a fault on purpose was felt."""
    spark_rows: reactive[int] = reactive(1, repaint=False)
    """Rows of each sparkline."""
    chart_rows: reactive[int] = reactive(0, repaint=False)
    """Rows of the chart; 0: there is none."""

    def __init__(self, pipeline: Pipeline) -> None:
        super().__init__(id=f"column-{pipeline}", classes=str(pipeline))
        self.border_title = f"{pipeline}  {INFO[pipeline].title}"
        self.set_reactive(PipelineColumn.view, PipelineView(pipeline))

    def compose(self) -> ComposeResult:
        """Stack the blocks."""
        yield Chain().data_bind(PipelineColumn.view)
        with Container(classes="body"):
            with Container(classes="figures"):
                yield Totals().data_bind(PipelineColumn.view)
                yield Pace().data_bind(
                    PipelineColumn.view, PipelineColumn.top_rate, PipelineColumn.marks, PipelineColumn.spark_rows
                )
            with Container(classes="breakdowns"):
                yield Drinks().data_bind(PipelineColumn.view, PipelineColumn.top_count)
                yield Stores().data_bind(PipelineColumn.view, PipelineColumn.top_count)
        yield LatencyChart().data_bind(PipelineColumn.view, PipelineColumn.chart_rows)
        yield Audit().data_bind(PipelineColumn.view)
        yield Said().data_bind(PipelineColumn.view)

    def watch_view(self, view: PipelineView) -> None:
        """Frame a broken pipeline in red; its last line says why. The frame also tells what its processes cost."""
        self.set_class(view.sentence.mood is Mood.BROKEN, "broken")
        self.border_subtitle = said_cost(view.cost)

    def show_alone(self, *, alone: bool) -> None:
        """Take the whole width, without a frame: the cost stands inside."""
        self.set_class(alone, "alone")
        audit = self.query_one(Audit)
        audit.with_cost = alone
        audit.refresh()
