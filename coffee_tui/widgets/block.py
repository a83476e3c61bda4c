"""The base of everything in a column: rows made of a view, made again only where their part of it has changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text

from coffee_tui.feed.snapshot import PipelineView
from coffee_tui.theme import ACCENT, DIM


@dataclass(frozen=True, slots=True)
class Shared:
    """What all columns have in common: their scales, their room, and which sources are silent."""

    top_rate: float = 1.0
    """Orders per second at the top of the rate's sparkline."""
    top_count: int = 1
    """Orders of a bar of full length."""
    marks: tuple[bool, ...] = ()
    """Seconds in which a fault on purpose was felt, oldest first, in step with the histories."""
    spark_rows: int = 1
    """Rows of each sparkline."""
    chart_rows: int = 0
    """Rows of the latency chart; 0: there is none."""
    gaps: int = 0
    """Empty rows between the blocks."""
    alone: bool = False
    """Whether the column has the whole width, and no frame."""
    silent: frozenset[str] = frozenset()
    """Sources that do not answer: ``redis``, ``api``."""


class Block:
    """One block of a column."""

    NEEDS: ClassVar[frozenset[str]] = frozenset({"redis"})
    """Sources without which what it shows is old: it is greyed."""

    def __init__(self) -> None:
        self._made_of: object = None
        self._rows: list[Text] = []

    def drawn_from(self, view: PipelineView, shared: Shared) -> object:
        """Return everything that the rows are made of, beside the width."""
        raise NotImplementedError

    def rows(self, view: PipelineView, width: int, shared: Shared) -> Sequence[Text]:
        """Return the rows, each at most ``width`` cells wide."""
        raise NotImplementedError

    def drawn(self, view: PipelineView, width: int, shared: Shared) -> list[Text]:
        """Return the rows; where nothing has changed those of the time before."""
        old = bool(self.NEEDS & shared.silent)
        made_of = (view.pipeline, width, old, self.drawn_from(view, shared))
        if made_of != self._made_of:
            self._made_of = made_of
            self._rows = list(self.rows(view, width, shared))
            if old:
                self._rows = [Text(row.plain, DIM) for row in self._rows]
        return self._rows


def accent(view: PipelineView) -> str:
    """Return the colour of a pipeline."""
    return ACCENT[view.pipeline]
