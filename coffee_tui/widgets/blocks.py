"""The upper blocks of a column: its chain, its totals, its last line."""

from rich.cells import cell_len
from rich.text import Text

from coffee_core.pipelines import INFO
from coffee_tui.feed.snapshot import Health, PipelineView, Stage
from coffee_tui.theme import DIM, GREY, HEALTH, MOOD, TEXT
from coffee_tui.widgets.digits import NUMBER_WIDTH, large
from coffee_tui.widgets.panel import ColumnPanel
from coffee_tui.widgets.text import UNKNOWN, clip, money, rate

_BESIDE = 10
"""Cells that revenue needs beside the digits."""
_LAYOUTS = ((" → ", " "), ("→", " "), ("→", ""), ("", ""))
"""Arrow between two parts and gap after a glyph, from airy to tight."""
_WIDEST = max(sum(len(label) + 1 for label in info.chain) for info in INFO.values())
"""Cells of the longest chain without arrows and gaps."""


def _stage(stage: Stage) -> tuple[str, str]:
    # A cron that does its work is not always at work: a clock, not a lamp.
    if stage.label == "cron" and stage.health is Health.GOOD:
        return "◷", HEALTH[Health.GOOD][1]
    return HEALTH[stage.health]


class Chain(ColumnPanel):
    """The parts an order passes, each with its state."""

    DEFAULT_CSS = "Chain { height: 1; }"

    def drawn_from(self, view: PipelineView) -> object:
        """Return what the rows are made of."""
        return view.chain

    def rows(self, view: PipelineView, width: int) -> list[Text]:
        """Return one row; on a narrow column the spaces go, then the arrows: in every column alike."""
        arrow, gap = next(
            (arrow, gap)
            for arrow, gap in _LAYOUTS
            if _WIDEST + 3 * len(arrow) + 4 * len(gap) <= width or not arrow
        )
        labels = [stage.label if arrow else stage.label.replace("PG, Redis", "PG,R") for stage in view.chain]
        row = Text()
        for index, (stage, label) in enumerate(zip(view.chain, labels, strict=True)):
            glyph, colour = _stage(stage)
            row.append(arrow if index else "", DIM)
            row.append(glyph + gap, colour)
            row.append(label, TEXT if stage.health is Health.GOOD else colour)
        return [row]


class Totals(ColumnPanel):
    """Orders in large digits, revenue beside them or below."""

    def drawn_from(self, view: PipelineView) -> object:
        """Return what the rows are made of."""
        return view.orders, view.revenue_cents, view.rate

    def rows(self, view: PipelineView, width: int) -> list[Text]:
        """Return three rows; on a narrow column a fourth, with revenue and orders per second."""
        number = large(UNKNOWN if view.orders is None else f"{view.orders:,}", NUMBER_WIDTH)
        digits = [Text(row, TEXT) for row in number]
        beside = width - len(number[0]) - 2
        if beside < _BESIDE:
            pace = rate(view.rate)
            below = Text(_revenue(view, width - len(pace) - 1), f"bold {TEXT}")
            return [*digits, below.append(pace.rjust(width - below.cell_len), TEXT)]
        # At the right edge, where every number of the column ends.
        digits[0].append("orders".rjust(beside + 2), GREY)
        digits[1].append(_revenue(view, beside).rjust(beside + 2), f"bold {TEXT}")
        return digits

    def get_content_height(self, container: object, viewport: object, width: int) -> int:  # noqa: ARG002
        """Return the rows that ``rows`` will draw."""
        return 4 if width - NUMBER_WIDTH - 2 < _BESIDE else 3


def _revenue(view: PipelineView, width: int) -> str:
    return UNKNOWN if view.orders is None else money(view.revenue_cents, width)


class Said(ColumnPanel):
    """The last line of a column: a sentence, wrapped over two rows at most."""

    DEFAULT_CSS = "Said { height: 2; dock: bottom; }"

    def drawn_from(self, view: PipelineView) -> object:
        """Return what the rows are made of."""
        return view.sentence

    def rows(self, view: PipelineView, width: int) -> list[Text]:
        """Return two rows."""
        glyph, colour = MOOD[view.sentence.mood]
        first, second = _fold(view.sentence.text, width - 2)
        return [Text(f"{glyph} {first}", colour), Text(f"  {second}", colour)]


def _fold(text: str, width: int) -> tuple[str, str]:
    if cell_len(text) <= width:
        return text, ""
    cut = text.rfind(" ", 0, width + 1)
    cut = cut if cut > 0 else width
    return text[:cut], clip(text[cut:].strip(), width)
