"""Orders per second and the two latencies of a column, each with its sparkline on the scale of all columns."""

from functools import partial

from rich.text import Text

from coffee_tui.feed.snapshot import PipelineView
from coffee_tui.theme import DIM, GREY, TEXT
from coffee_tui.widgets.block import Block, Shared, accent
from coffee_tui.widgets.blocks import NARROW
from coffee_tui.widgets.marks import marked
from coffee_tui.widgets.scale import LATENCY, LATENCY_LABELS, sparkline
from coffee_tui.widgets.text import compact, latency, rate

_LABELS, _SHORT_LABELS = ("orders/s", "API", "dashboard"), ("rate", "API", "shown")
_VALUE = 9
_ROOMY = 44
"""From this many cells on there are the long labels and a gap: below, a sparkline needs their cells."""
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
            shared.chart_rows > 0,
        )

    def rows(self, view: PipelineView, width: int, shared: Shared) -> list[Text]:
        """Return three figures with their sparklines, each with what its scale is; a chart has the room of two."""
        if width < NARROW:
            return _narrow(view, width)
        labels, value = (_LABELS, _VALUE) if width >= _ROOMY else (_SHORT_LABELS, _VALUE - 1)
        label = max(map(len, labels)) + 1
        spark = width - label - 2 * value
        rates = [None if one is None else one / shared.top_rate for one in view.rate_history[-spark:]]
        scale = next(each for each in LATENCY_LABELS if len(each) <= label + spark)
        heading = Text(scale.ljust(label + spark) + "p50".rjust(value) + "p99".rjust(value), DIM)
        lamps = ((view.api, view.api_history), (view.dashboard, view.dashboard_history))
        latencies = [
            (
                latency(now.p50_us),
                latency(now.p99_us),
                [None if one is None else LATENCY.fraction(one) for one in past[-spark:]],
            )
            for now, past in lamps
        ]
        draw = partial(_figure, view=view, marks=shared.marks, cells=spark)
        names = [each.ljust(label) for each in labels]
        rows = draw(names[0], _rate(view.rate, shared.top_rate, value), rates, rows=shared.spark_rows)
        rows.append(heading)
        for name, (p50, p99, fractions) in zip(names[1:], latencies, strict=True):
            figure = Text(p50.rjust(value) + p99.rjust(value), f"bold {TEXT}")
            rows += draw(name, figure, fractions, rows=1 if shared.chart_rows else shared.spark_rows)
        return rows


def _rate(now: float | None, top: float, cells: int) -> Text:
    """Return the rate, and that of a full sparkline, each in so many cells."""
    said = rate(now)
    if now is not None and len(said) >= cells:
        said = f"{compact(round(now))}/s"
    row = Text(said.rjust(cells), f"bold {TEXT}")
    return row.append(("" if now is None else f"≤{compact(round(top))}").rjust(cells), f"not bold {DIM}")


def _narrow(view: PipelineView, width: int) -> list[Text]:
    drawn = [Text("p50".rjust(width - _VALUE) + "p99".rjust(_VALUE), DIM)]
    for label, now in (("API", view.api), ("shown", view.dashboard)):
        row = Text(label.ljust(width - 2 * _VALUE), GREY)
        row.append(latency(now.p50_us).rjust(_VALUE) + latency(now.p99_us).rjust(_VALUE), TEXT)
        drawn.append(row)
    return drawn


def _figure(
    label: str,
    figure: Text,
    fractions: list[float | None],
    *,
    view: PipelineView,
    marks: tuple[bool, ...],
    cells: int,
    rows: int,
) -> list[Text]:
    lines = sparkline(fractions, min(cells, _SEEN), rows)
    last = len(lines) - 1
    drawn = [marked(line, marks, accent(view), foot=at == last) for at, line in enumerate(lines)]
    found = [Text(" " * len(label)).append(line) for line in drawn]
    found[-1] = Text(label, GREY).append(drawn[-1])
    found[-1].append(" " * (cells - min(cells, _SEEN))).append(figure)
    return found
