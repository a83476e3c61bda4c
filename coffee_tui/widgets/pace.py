"""Orders per second and the two latencies of a column, each with its sparkline on the scale of all columns."""

from functools import partial

from rich.text import Text

from coffee_tui.feed.snapshot import PipelineView
from coffee_tui.theme import DIM, GREY, TEXT
from coffee_tui.widgets.block import Block, Shared, accent
from coffee_tui.widgets.blocks import NARROW
from coffee_tui.widgets.marks import marked
from coffee_tui.widgets.scale import LATENCY, LATENCY_LABELS, sparkline
from coffee_tui.widgets.text import latency, rate

_LABEL = 10
_VALUE = 9
_SEEN = 120
"""Seconds of a history that a sparkline shows at most: what lies before is no reason to draw."""


class Pace(Block):
    """How fast and how late."""

    def drawn_from(self, view: PipelineView, shared: Shared) -> object:
        """Return what the rows are made of."""
        histories = (view.rate_history[-_SEEN:], view.api_history[-_SEEN:], view.dashboard_history[-_SEEN:])
        return (
            view.rate,
            view.api,
            view.dashboard,
            histories,
            shared.top_rate,
            shared.marks[-_SEEN:],
            shared.spark_rows,
        )

    def rows(self, view: PipelineView, width: int, shared: Shared) -> list[Text]:
        """Return three figures with their sparklines; above the latencies what their scale is."""
        if width < NARROW:
            return _narrow(view, width)
        spark = width - _LABEL - 2 * _VALUE
        rates = [None if one is None else one / shared.top_rate for one in view.rate_history[-spark:]]
        scale = next(label for label in LATENCY_LABELS if len(label) <= _LABEL + spark)
        heading = Text(scale.ljust(_LABEL + spark) + "p50".rjust(_VALUE) + "p99".rjust(_VALUE), DIM)
        lamps = ((view.api, view.api_history), (view.dashboard, view.dashboard_history))
        latencies = [
            (
                latency(now.p50_us),
                latency(now.p99_us),
                [None if one is None else LATENCY.fraction(one) for one in past[-spark:]],
            )
            for now, past in lamps
        ]
        draw = partial(_figure, view=view, shared=shared, cells=spark)
        return [
            *draw("orders/s", rate(view.rate), "", rates),
            heading,
            *draw("API", *latencies[0]),
            *draw("dashboard", *latencies[1]),
        ]


def _narrow(view: PipelineView, width: int) -> list[Text]:
    drawn = [Text("p50".rjust(width - _VALUE) + "p99".rjust(_VALUE), DIM)]
    for label, now in (("API", view.api), ("shown", view.dashboard)):
        row = Text(label.ljust(width - 2 * _VALUE), GREY)
        row.append(latency(now.p50_us).rjust(_VALUE) + latency(now.p99_us).rjust(_VALUE), TEXT)
        drawn.append(row)
    return drawn


def _figure(
    label: str,
    first: str,
    second: str,
    fractions: list[float | None],
    view: PipelineView,
    shared: Shared,
    cells: int,
) -> list[Text]:
    lines = sparkline(fractions, min(cells, _SEEN), shared.spark_rows)
    last = len(lines) - 1
    drawn = [marked(line, shared.marks, accent(view), foot=at == last) for at, line in enumerate(lines)]
    rows = [Text(" " * _LABEL).append(line) for line in drawn]
    rows[-1] = Text(label.ljust(_LABEL), GREY).append(drawn[-1])
    rows[-1].append(" " * (cells - min(cells, _SEEN)))
    rows[-1].append(first.rjust(_VALUE) + second.rjust(_VALUE), f"bold {TEXT}")
    return rows
