"""Lines in braille dots, two by four in a cell: a chart in as few cells as a terminal allows."""

from collections.abc import Sequence

_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
"""Bits of a cell: by column, from the top down."""
_BLANK = 0x2800


def braille(fractions: Sequence[float | None], width: int, height: int) -> list[list[int]]:
    """Draw the last values, the newest at the right, as rows of cells; a cell is the bits of its dots.

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
