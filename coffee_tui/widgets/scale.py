"""Scales that columns share: the same length is the same number everywhere on the screen."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

BLOCKS = " ▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True)
class LogScale:
    """A logarithmic scale between two latencies in µs."""

    low_us: float
    high_us: float

    def fraction(self, value_us: float) -> float:
        """Return where a value stands: 0 at the low end, 1 at the high end, clamped."""
        share = math.log(max(value_us, 1e-9) / self.low_us) / math.log(self.high_us / self.low_us)
        return min(1.0, max(0.0, share))

    def cell(self, value_us: float, cells: int) -> int:
        """Return the cell (0 to cells − 1) of a value on an axis of that many cells."""
        return round(self.fraction(value_us) * (cells - 1))


LATENESS = LogScale(1_000, 60_000_000)
"""1 ms to 60 s: how late a dashboard can be."""
LATENCY = LogScale(100, 60_000_000)
"""0.1 ms to 60 s: the sparklines of every latency."""
LATENCY_LABELS = ("p99 a second, log 0.1 ms–60 s", "log 0.1 ms–60 s", "log scale", "")
"""What it says of itself, from long to short."""


def sparkline(fractions: Sequence[float | None], width: int, height: int) -> list[str]:
    """Draw the last values, oldest left, as ``height`` rows of ``width`` cells.

    A fraction of 0 to 1 fills that share of the height; the smallest value is still seen; None is a gap.
    """
    steps = height * 8
    levels = [None if one is None else max(1, round(one * steps)) for one in fractions[-width:]]
    padding = " " * (width - len(levels))
    return [
        padding + "".join(" " if one is None else BLOCKS[min(8, max(0, one - row * 8))] for one in levels)
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
