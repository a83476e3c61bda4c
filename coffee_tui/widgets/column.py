"""One pipeline from its name to its last line."""

from itertools import zip_longest

from rich.text import Text

from coffee_core.pipelines import INFO, Pipeline
from coffee_tui.feed.snapshot import Mood, PipelineView
from coffee_tui.widgets.account import Audit
from coffee_tui.widgets.block import Shared
from coffee_tui.widgets.blocks import Said, Totals
from coffee_tui.widgets.breakdown import Drinks, Stores
from coffee_tui.widgets.chain import Chain
from coffee_tui.widgets.chart import LatencyChart
from coffee_tui.widgets.costs import said_cost
from coffee_tui.widgets.lines import Lines
from coffee_tui.widgets.pace import Pace

_BETWEEN = 2
"""Cells between figures and breakdowns where they stand side by side."""
_FIGURES = 56
"""Of the others, the share of the figures in per cent: a sparkline wants more than a bar, which has its number."""


class PipelineColumn(Lines):
    """A column: its blocks, one below the other.

    One widget, not one for each block: what a frame costs in Textual is the widgets under it.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        super().__init__(id=f"column-{pipeline}", classes=str(pipeline))
        self.border_title = f"{pipeline}  {INFO[pipeline].title}"
        self._view, self._shared = PipelineView(pipeline), Shared()
        self._chain, self._audit, self._said = Chain(), Audit(), Said()
        self._totals, self._pace, self._chart = Totals(), Pace(), LatencyChart()
        self._drinks, self._stores = Drinks(), Stores()

    def show(self, view: PipelineView, shared: Shared) -> None:
        """Show a view. A broken pipeline is framed in red; the frame also tells what its processes cost."""
        if (view, shared) == (self._view, self._shared):
            return
        self._view, self._shared = view, shared
        self.set_class(view.sentence.mood is Mood.BROKEN, "broken")
        self.frame_says(said_cost(view.cost))
        self.redraw()

    def lines(self, width: int) -> list[Text]:
        """Return the rows of all blocks."""
        view, shared = self._view, self._shared
        if shared.alone:
            left = (width - _BETWEEN) * _FIGURES // 100
            figures = [row for block in (self._totals, self._pace) for row in block.drawn(view, left, shared)]
            right = width - _BETWEEN - left
            counts = [row for block in (self._drinks, self._stores) for row in block.drawn(view, right, shared)]
            body = [(0, _beside(figures, counts, left + _BETWEEN))]
        else:
            blocks = ((3, self._totals), (5, self._pace), (2, self._drinks), (4, self._stores))
            body = [(gap, block.drawn(view, width, shared)) for gap, block in blocks]
        found = list(self._chain.drawn(view, width, shared))
        for gap, rows in (
            *body,
            (1, self._chart.drawn(view, width, shared)),
            (1, self._audit.drawn(view, width, shared)),
        ):
            # A gap is there from so many gaps on.
            found += [Text()] * (0 < gap <= shared.gaps and bool(rows))
            found += rows
        return found + self._said.drawn(view, width, shared)


def _beside(left: list[Text], right: list[Text], at: int) -> list[Text]:
    return [
        Text().append(one).append(" " * (at - one.cell_len)).append(other)
        for one, other in zip_longest(left, right, fillvalue=Text())
    ]
