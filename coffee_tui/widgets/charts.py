"""Sparklines, bars and the chart of latencies; the same length is the same number in all columns."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from rich.text import Text

from coffee_tui.data.snapshot import PipelineView
from coffee_tui.theme import DIM, FELT, GREY, RED, RULE
from coffee_tui.widgets.rows import Section, Shared, accent

BLOCKS = " ▁▂▃▄▅▆▇█"
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
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
"""Bits of a cell: by column, from the top down."""
_BLANK = 0x2800


@dataclass(frozen=True, slots=True)
class LogScale:
    """A logarithmic scale between two latencies in µs."""

    low_us: float
    high_us: float

    def fraction(self, value_us: float) -> float:
        """Return where a value stands: 0 at the low end, 1 at the high end, clamped."""
        share = math.log(max(value_us, 1e-9) / self.low_us) / math.log(self.high_us / self.low_us)
        return min(1.0, max(0.0, share))

    def fractions(self, values_us: Sequence[float | None]) -> list[float | None]:
        """Return where each value stands; a gap stays one."""
        return [None if value_us is None else self.fraction(value_us) for value_us in values_us]

    def cell(self, value_us: float, cells: int) -> int:
        """Return the cell (0 to cells − 1) of a value on an axis of that many cells."""
        return round(self.fraction(value_us) * (cells - 1))


DASHBOARD_SCALE = LogScale(1_000, 60_000_000)
"""1 ms to 60 s: how late a dashboard can be."""
LATENCY_SCALE = LogScale(100, 60_000_000)
"""0.1 ms to 60 s: the sparklines of every latency."""
LATENCY_LABELS = ("p99 a second, log 0.1 ms–60 s", "log 0.1 ms–60 s", "log scale", "")
"""How a heading describes that scale, from long to short."""


def sparkline(fractions: Sequence[float | None], width: int, height: int) -> list[str]:
    """Draw the last values, oldest left, as ``height`` rows of ``width`` cells.

    A fraction of 0 to 1 fills that share of the height; the smallest value is still seen; None is a gap.
    """
    steps = height * 8
    levels = [None if share is None else max(1, round(share * steps)) for share in fractions[-width:]]
    padding = " " * (width - len(levels))
    return [
        padding + "".join(" " if level is None else BLOCKS[min(8, max(0, level - row * 8))] for level in levels)
        for row in range(height - 1, -1, -1)
    ]


def time_axis(cells: int, per_cell_s: int) -> str:
    """Label an axis of time that ends now, at each minute before as far as there is room."""
    line = [" "] * cells
    line[-3:] = "now"
    for minute in range(1, cells * per_cell_s // 60 + 1):
        label = f"−{minute} min"
        start = cells - 60 * minute // per_cell_s - len(label) // 2
        if start >= 0:
            line[start : start + len(label)] = label
    return "".join(line[-cells:])


def bar(share: float, width: int) -> str:
    """Draw a thin bar over a share (0 to 1) of ``width`` cells; anything above 0 is seen."""
    cells = round(min(1.0, share) * width)
    return "━" * (max(1, cells) if share > 0 else 0)


def with_fault_marks(line: str, fault_marks: Sequence[bool], accent: str, *, foot: bool = True) -> Text:
    """Return one row of a sparkline that marks faults on purpose, the last second under its last cell.

    Marked by glyph and by ground: ``×`` where a fault begins, ``░`` in what would be blank while it is felt. Above
    its ``foot``, a sparkline of several rows has the ground alone.
    """
    recent = list(fault_marks[-len(line) :]) if line else []
    if not any(recent):
        return Text(line, accent)
    recent = [False] * (len(line) - len(recent)) + recent
    row, before = Text(), False
    for cell, felt in zip(line, recent, strict=True):
        if not felt:
            row.append(cell, accent)
        elif not foot:
            row.append(cell, f"{accent} on {FELT}")
        elif not before:
            row.append("×", f"bold {RED} on {FELT}")
        else:
            row.append("░" if cell == " " else cell, f"{RED if cell == ' ' else accent} on {FELT}")
        before = felt
    return row


class LatencyChart(Section):
    """p99 of each second: the dashboard's in the accent, the API's in grey."""

    def inputs(self, view: PipelineView, shared: Shared) -> object:
        """Return what the rows are made of; nothing while there is no chart."""
        histories = (view.api_history, view.dashboard_history)
        return (histories, shared.fault_marks, shared.chart_rows) if shared.chart_rows else None

    def rows(self, view: PipelineView, width: int, shared: Shared) -> list[Text]:
        """Return a heading, the chart, and its time, where a fault on purpose is marked."""
        height, cells = shared.chart_rows - 2, width - _LABEL
        if height < 1 or cells < 1:
            return []
        drawn = [
            (braille(LATENCY_SCALE.fractions(history[-_CELL_S * cells :]), cells, height), colour)
            for history, colour in ((view.api_history, GREY), (view.dashboard_history, accent(view)))
        ]
        labels = _labels(height)
        heading = Text("p99 of each second  ", DIM).append("⣀ dashboard  ", accent(view)).append("⣀ API", GREY)
        return [
            heading,
            *(_row(labels.get(row, ""), [(of[row], colour) for of, colour in drawn]) for row in range(height)),
            Text(" " * _LABEL).append(
                with_fault_marks(time_axis(cells, _CELL_S), _by_cell(shared.fault_marks, cells), DIM)
            ),
        ]


def _by_cell(fault_marks: tuple[bool, ...], cells: int) -> list[bool]:
    """Return of each cell whether a fault is felt in one of its seconds."""
    seconds = (False,) * (_CELL_S * cells) + fault_marks
    seconds = seconds[-_CELL_S * cells :]
    return [any(seconds[at : at + _CELL_S]) for at in range(0, len(seconds), _CELL_S)]


def _labels(height: int) -> dict[int, str]:
    """Return row → label, none over another."""
    found: dict[int, str] = {}
    for value_us, label in _TICKS:
        found.setdefault(round((1 - LATENCY_SCALE.fraction(value_us)) * (height - 1)), label)
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


def braille(fractions: Sequence[float | None], width: int, height: int) -> list[list[int]]:
    """Draw the last values as lines of braille dots, two by four in a cell, the newest at the right.

    Return rows of cells; a cell is the bits of its dots.

    A fraction of 0 to 1 is a height; neighbours are joined, None is a gap.
    """
    rows = [[0] * width for _ in range(height)]
    shown = fractions[-2 * width :]
    left, top = 2 * width - len(shown), 4 * height - 1
    before: int | None = None
    for index, fraction in enumerate(shown):
        if fraction is None:
            before = None
            continue
        level = round((1 - min(1.0, max(0.0, fraction))) * top)
        first, last = (
            (level, level) if before is None else sorted((level, before + (level > before) - (level < before)))
        )
        cell, column = divmod(left + index, 2)
        for dot in range(first, last + 1):
            rows[dot // 4][cell] |= _DOTS[column][dot % 4]
        before = level
    return rows


def glyph(bits: int) -> str:
    """Return the character of a cell; a space where no dot is set."""
    return chr(_BLANK | bits) if bits else " "
