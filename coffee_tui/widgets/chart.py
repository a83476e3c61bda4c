"""Where there is room: the latencies of the last minutes as a chart; its scale is that of all columns."""

from itertools import groupby

from rich.text import Text

from coffee_tui.feed.snapshot import PipelineView
from coffee_tui.theme import DIM, GREY, RULE
from coffee_tui.widgets.block import Block, Shared, accent
from coffee_tui.widgets.braille import braille, glyph
from coffee_tui.widgets.marks import marked
from coffee_tui.widgets.scale import LATENCY, time_axis

_LABEL = 8
_CELL_S = 2
"""Seconds of a cell: braille has two columns of dots."""
_TICKS = (
    (6e7, "60 s"),
    (1e7, "10 s"),
    (1e6, "1 s"),
    (1e5, "100 ms"),
    (1e4, "10 ms"),
    (1e3, "1 ms"),
    (1e2, "0.1 ms"),
)


class LatencyChart(Block):
    """p99 of each second: the dashboard's in the accent, the API's in grey."""

    def drawn_from(self, view: PipelineView, shared: Shared) -> object:
        """Return what the rows are made of; nothing while there is no chart."""
        histories = (view.api_history, view.dashboard_history)
        return (histories, shared.marks, shared.chart_rows) if shared.chart_rows else None

    def rows(self, view: PipelineView, width: int, shared: Shared) -> list[Text]:
        """Return a heading, the chart, and its time, where a fault on purpose is marked."""
        height, cells = shared.chart_rows - 2, width - _LABEL
        if height < 1 or cells < 1:
            return []
        drawn = [
            (
                braille(
                    [None if one is None else LATENCY.fraction(one) for one in history[-_CELL_S * cells :]],
                    cells,
                    height,
                ),
                colour,
            )
            for history, colour in ((view.api_history, GREY), (view.dashboard_history, accent(view)))
        ]
        labels = _labels(height)
        heading = Text("p99 of each second  ", DIM).append("⣀ dashboard  ", accent(view)).append("⣀ API", GREY)
        return [
            heading,
            *(_row(labels.get(row, ""), [(of[row], colour) for of, colour in drawn]) for row in range(height)),
            Text(" " * _LABEL).append(marked(time_axis(cells, _CELL_S), _by_cell(shared.marks, cells), DIM)),
        ]


def _by_cell(marks: tuple[bool, ...], cells: int) -> list[bool]:
    """Return of each cell whether a fault is felt in one of its seconds."""
    seconds = (False,) * (_CELL_S * cells) + marks
    seconds = seconds[-_CELL_S * cells :]
    return [any(seconds[at : at + _CELL_S]) for at in range(0, len(seconds), _CELL_S)]


def _labels(height: int) -> dict[int, str]:
    """Return row → label, none over another."""
    found: dict[int, str] = {}
    for value_us, label in _TICKS:
        found.setdefault(round((1 - LATENCY.fraction(value_us)) * (height - 1)), label)
    return found


def _row(label: str, layers: list[tuple[list[int], str]]) -> Text:
    row = Text(label.rjust(_LABEL - 1) + " ", DIM)
    blank = ("┈" if label else " ", RULE)
    cells = []
    for bits in zip(*(of for of, _ in layers), strict=True):
        # The last layer that has a dot here gives the colour; the dots of both are there.
        colour = next((layers[at][1] for at in range(len(bits) - 1, -1, -1) if bits[at]), None)
        cells.append(blank if colour is None else (glyph(bits[0] | bits[1]), colour))
    for colour, run in groupby(cells, key=lambda cell: cell[1]):
        row.append("".join(text for text, _ in run), colour)
    return row
