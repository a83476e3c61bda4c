"""A pipeline as its real chain: how each part stands, how fast orders pass each link, where they pile up."""

import math
from itertools import zip_longest

from rich.text import Text

from coffee_core.pipelines import INFO, Pipeline
from coffee_tui.feed.snapshot import Health, PipelineView, Stage
from coffee_tui.theme import AMBER, DIM, GREY, HEALTH, RED, TEXT
from coffee_tui.widgets.block import Block, Shared
from coffee_tui.widgets.text import compact, rate

_SHORT = {"PG, Redis": "PG,R"}
_WIDEST_ARROW = 12
_FEW = 5
"""So many orders are always in hand: they are no pile."""
_HIGHEST_PILE = 100_000
"""Orders that fill a link."""


def _cells(gap: str, *, short: bool) -> int:
    """Return the cells of the longest chain without its arrows: all columns are spaced alike."""
    return max(
        sum(len(gap) + 1 + len(_label(label, short=short)) for label in info.chain) for info in INFO.values()
    )


def _label(label: str, *, short: bool) -> str:
    return _SHORT.get(label, label) if short else label


class Chain(Block):
    """Two rows: the parts an order passes, and below each link its rate or what waits there."""

    NEEDS = frozenset()

    def drawn_from(self, view: PipelineView, shared: Shared) -> object:  # noqa: ARG002
        """Return what the rows are made of."""
        return view.chain

    def rows(self, view: PipelineView, width: int, shared: Shared) -> list[Text]:  # noqa: ARG002
        """Return both rows; on a narrow column the names are cut, then the gaps go."""
        short = width < _cells(" ", short=False) + 3
        gap = " " if width >= _cells(" ", short=short) + 3 else ""
        arrow = max(1, min(_WIDEST_ARROW, (width - _cells(gap, short=short)) // 3))
        parts, links = Text(), Text()
        for stage, after in zip_longest(view.chain, view.chain[1:]):
            glyph, colour = _glyph(stage)
            parts.append(glyph + gap, colour)
            parts.append(_label(stage.label, short=short), TEXT if stage.health is Health.GOOD else colour)
            if after is not None:
                piled = _pile(view.pipeline, stage, after)
                middle = parts.cell_len + arrow // 2
                parts.append(_arrow(arrow, piled[0] if piled else 0), piled[1] if piled else DIM)
                said, said_in = (f"▪{compact(piled[0])}", piled[1]) if piled else (rate(stage.rate), GREY)
                start = max(links.cell_len + bool(links), middle - len(said) // 2)
                links.append(" " * (start - links.cell_len)).append(said, said_in)
        return [parts, links]


def _glyph(stage: Stage) -> tuple[str, str]:
    # A cron that does its work is not always at work: a clock, not a lamp.
    if stage.label == "cron" and stage.health is Health.GOOD:
        return "◷", HEALTH[Health.GOOD][1]
    return HEALTH[stage.health]


def _pile(pipeline: Pipeline, stage: Stage, after: Stage) -> tuple[int, str] | None:
    """Return what piles up on a link and its colour; None where it is no pile."""
    if not stage.waiting:
        return None
    if after.health is Health.BROKEN:
        return stage.waiting, RED
    # Before the cron orders wait by design.
    if pipeline is Pipeline.V1:
        return stage.waiting, GREY
    return (stage.waiting, AMBER) if stage.waiting > max(_FEW, stage.rate or 0) else None


def _arrow(cells: int, piled: int) -> str:
    if cells < 3:
        return "→".ljust(cells)
    shaft = cells - 3
    full = min(shaft, math.ceil(shaft * math.log(piled + 1) / math.log(_HIGHEST_PILE))) if piled else 0
    return " " + "─" * (shaft - full) + "▪" * full + "→ "
