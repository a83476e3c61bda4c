"""Faults on purpose in a sparkline: where one struck and how long it was felt, told by glyph and by ground."""

from collections.abc import Sequence

from rich.text import Text

from coffee_tui.theme import FELT, RED


def marked(line: str, marks: Sequence[bool], accent: str, *, foot: bool = True) -> Text:
    """Return one row of a sparkline with its marks, the last of which stands under its last cell.

    ``×`` where a fault begins, ``░`` in what would be blank while it is felt. Above its ``foot``, a sparkline of
    several rows has the ground alone.
    """
    recent = list(marks[-len(line) :]) if line else []
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
