"""The simple blocks of a column: its totals and its last line."""

from rich.cells import cell_len
from rich.text import Text

from coffee_tui.feed.snapshot import PipelineView
from coffee_tui.theme import DIM, GREY, MOOD, TEXT
from coffee_tui.widgets.account import dropped
from coffee_tui.widgets.block import Block, Shared
from coffee_tui.widgets.digits import NUMBER_WIDTH, large
from coffee_tui.widgets.text import UNKNOWN, clip, money, rate

NARROW = 30
"""A column with fewer cells has no room beside its digits, and no sparklines."""


class Totals(Block):
    """Orders in large digits, revenue beside them or below."""

    def drawn_from(self, view: PipelineView, shared: Shared) -> object:  # noqa: ARG002
        """Return what the rows are made of."""
        return view.orders, view.revenue_cents, view.rate

    def rows(self, view: PipelineView, width: int, shared: Shared) -> list[Text]:  # noqa: ARG002
        """Return three rows; on a narrow column a fourth, with revenue and orders per second."""
        narrow = width < NARROW
        number = large(UNKNOWN if view.orders is None else f"{view.orders:,}", NUMBER_WIDTH if narrow else 0)
        digits = [Text(row, TEXT) for row in number]
        beside = width - len(number[0]) - 2
        if narrow:
            pace = rate(view.rate)
            below = Text(_revenue(view, width - len(pace) - 1), f"bold {TEXT}")
            return [*digits, below.append(pace.rjust(width - below.cell_len), TEXT)]
        # At the right edge, where every number of the column ends.
        digits[0].append("orders".rjust(beside + 2), GREY)
        digits[1].append(_revenue(view, beside).rjust(beside + 2), f"bold {TEXT}")
        return digits


def _revenue(view: PipelineView, width: int) -> str:
    return UNKNOWN if view.orders is None else money(view.revenue_cents, width)


class Said(Block):
    """The last line of a column: a sentence, wrapped over two rows at most."""

    NEEDS = frozenset()

    def drawn_from(self, view: PipelineView, shared: Shared) -> object:  # noqa: ARG002
        """Return what the rows are made of."""
        return view.sentence, view.account

    def rows(self, view: PipelineView, width: int, shared: Shared) -> list[Text]:  # noqa: ARG002
        """Return two rows; where one is enough for the sentence, the other says what was dropped on purpose."""
        glyph, colour = MOOD[view.sentence.mood]
        first, second = _fold(view.sentence.text, width - 2)
        below = Text(f"  {second}", colour) if second else Text(f"  {dropped(view.account, width - 2)}", DIM)
        return [Text(f"{glyph} {first}", colour), below]


_UNIT = 3
"""Cells of the longest unit."""


def _fold(text: str, width: int) -> tuple[str, str]:
    if cell_len(text) <= width:
        return text, ""
    cut = text.rfind(" ", 0, width + 1)
    # A unit stays with its number.
    if 0 < len(text) - cut - 1 <= _UNIT:
        cut = text.rfind(" ", 0, cut)
    cut = cut if cut > 0 else width
    return text[:cut], clip(text[cut:].strip(" ·"), width)
