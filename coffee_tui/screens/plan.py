"""What there is room for: the rows and cells of a terminal shared out, the most telling things first."""

from dataclasses import dataclass

COLUMNS_CELLS = 100
"""From this many cells on all columns are there; below, one at a time."""
WIDE_CELLS = 150
"""From this many cells on a column has a margin inside."""

_HEADER, _BAND, _TABS, _ORDERS, _FRAME, _KEYS = 1, 4, 1, 3, 2, 1
_COLUMN = 21
"""Rows of a column whose blocks stand one below the other: 2 + 3 + 4 + 3 + 4 + 3 + 2."""
_ALONE = 14
"""Rows of one whose breakdowns stand beside its figures: 2 + 7 + 3 + 2."""
COLUMNS_ROWS = _HEADER + _FRAME + _COLUMN + _ORDERS + _KEYS
"""From this many rows on they are there."""
MOST_GAPS = 5
"""Empty rows between the blocks of a column."""
_AIR = 3
"""Rows above and below the band, and the one in the order panel for the load's settings."""
_SPARKS = 3
"""Sparklines: each gets a row more at a time."""
_HIGHEST_SPARK = 3
_LOWEST_CHART = 9


@dataclass(frozen=True, slots=True)
class Plan:
    """The layout of the Live screen."""

    alone: bool
    """One column at a time, with tabs."""
    band: bool
    """The band above the columns is there."""
    framed: bool
    """The order panel has a frame, and the columns a margin."""
    lifted: bool
    """An empty row stands above the band, where there is room for no more air."""
    airy: bool
    """The band stands apart, and the order panel has a row for the load's settings."""
    wide: bool
    """The columns have a wide margin."""
    gaps: int
    """Empty rows between the blocks of a column, from the most telling on."""
    spark_rows: int
    """Rows of each sparkline; of the rate's alone where there is a chart."""
    chart_rows: int
    """Rows of the latency chart; 0: there is none."""


def plan(cells: int, rows: int) -> Plan:
    """Share out a terminal of so many cells and rows."""
    alone = cells < COLUMNS_CELLS or rows < COLUMNS_ROWS
    left = rows - _HEADER - _ORDERS - _KEYS - (_TABS + _ALONE if alone else _FRAME + _COLUMN)
    band, left = _take(left, _BAND)
    framed, left = _take(left, _FRAME)
    gaps = min(MOST_GAPS, max(0, left))
    left -= gaps
    airy, left = _take(left if gaps == MOST_GAPS else 0, _AIR)
    lifted = left > 0 and band and not airy
    left -= lifted
    high = _HIGHEST_SPARK - 1
    chart = left - high - 1 if left > high + _LOWEST_CHART else 0
    more = high if chart else min(high, max(0, left) // _SPARKS)
    return Plan(alone, band, framed, lifted, airy, cells >= WIDE_CELLS, gaps, 1 + more, chart)


def _take(left: int, rows: int) -> tuple[bool, int]:
    return (True, left - rows) if left >= rows else (False, left)
