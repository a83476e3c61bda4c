"""The base of everything that is rows of text: what has changed is drawn again, cell by cell, and nothing else.

A dashboard draws the same rows ten times a second with a few digits changed. Textual's own way from a text to the
terminal treats a widget as a whole; here a widget keeps its rows, compares, and gives the compositor the regions.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

from coffee_core.pipelines import DEFAULT_PIPELINES, Pipeline
from coffee_tui.data.snapshot import PipelineView
from coffee_tui.theme import ACCENT, DIM


class RowsWidget(Widget):
    """Rows of text of single cells, one below the other; a frame and padding, no opacity or tint.

    It keeps its rows, compares them with new ones, and gives the compositor the cells that differ.
    """

    ALLOW_SELECT: ClassVar[bool] = False

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._drawn: list[Text] = []
        self._drawn_for: tuple[Size, Size] | None = None
        self._shown: list[Strip] = []
        self._dirty: set[int] = set()
        self._sides: tuple[list[Segment], list[Segment]] | None = None
        self._stale = self._frame_alone = False

    def rows(self, width: int) -> Sequence[Text]:
        """Return the rows, each at most ``width`` cells wide."""
        raise NotImplementedError

    def set_border_subtitle(self, text: str) -> None:
        """Write into the lower border, and draw that one row again."""
        if text != (self.border_subtitle or ""):
            # Setting it would draw the whole widget again.
            self._frame_alone = True
            self.border_subtitle = text
            self._frame_alone = False

    def set_stale(self, *, stale: bool) -> None:
        """Grey what is shown while its source is silent: the glyphs stay, in any palette."""
        if stale != self._stale:
            self._stale = stale
            self.refresh()

    def _new_rows(self) -> list[Text]:
        rows = self.rows(self.size.width)
        return [Text(row.plain, DIM) for row in rows] if self._stale else list(rows)

    def redraw(self) -> None:
        """Draw again what has changed."""
        if self._drawn_for != (self.outer_size, self.size):
            self.refresh()
            return
        drawn = self._new_rows()
        changed = list(changes(self._drawn, drawn, *self.size))
        self._drawn = drawn
        if changed:
            top = self.content_offset.y
            self._dirty.update(top + region.y for region in changed)
            self.refresh(*changed)

    def render_lines(self, crop: Region) -> list[Strip]:
        """Return the rows with what is around them: Textual draws everything once, then the frame alone."""
        room = self.outer_size, self.size
        if self._drawn_for != room:
            self._drawn_for, self._drawn, self._shown = room, self._new_rows(), []
        if crop.size != self.outer_size:
            self._shown = []
            return super().render_lines(crop)
        if not self._shown:
            self._shown = [Row(strip, crop.width) for strip in super().render_lines(crop)]
            self._sides = None
        elif self._dirty:
            self._renew(self.outer_size.width)
        self._dirty.clear()
        return self._shown

    def _renew(self, whole: int) -> None:
        """Draw the stale rows again, each ``whole`` cells wide with what is around it."""
        x, top = self.content_offset
        width, height = self.size
        filters, ground = self.get_line_filters(), self.background_colors[1]
        for y in self._dirty:
            if not top <= y < top + height:
                self._shown[y] = Row(super().render_lines(Region(0, y, whole, 1))[0], whole)
                continue
            if self._sides is None:
                beside = self._shown[y]
                self._sides = list(beside.crop(0, x)), list(beside.crop(x + width))
            left, right = self._sides
            row = self._segments(y - top, width)
            for line_filter in filters:
                row = line_filter.apply(row, ground)
            self._shown[y] = Row([*left, *row, *right], whole)

    def render_line(self, y: int) -> Strip:
        """Return one row, without what is around it."""
        width = self.size.width
        return Strip(self._segments(y, width), width)

    def _segments(self, y: int, width: int) -> list[Segment]:
        row = self._drawn[y] if y < len(self._drawn) else Text()
        return segments(row, width, self.app.console.get_style, self.visual_style.rich_style)

    def refresh(
        self, *regions: Region, repaint: bool = True, layout: bool = False, recompose: bool = False
    ) -> "RowsWidget":
        """Draw the regions again; where none is given everything, from new rows."""
        if self._frame_alone and self.size:
            x, y = self.content_offset
            last = self.outer_size.height - 1
            self._dirty.add(last)
            regions = (Region(-x, last - y, self.outer_size.width, 1),)
        if not regions:
            self._drawn_for = None
        return super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)

    def notify_style_update(self) -> None:
        """Take the colours of a new theme, or those of lost data."""
        self._shown = []
        super().notify_style_update()


class Row(Strip):
    """A row of a widget, as wide as the widget."""

    __slots__ = ()

    def divide(self, cuts: Iterable[int]) -> Sequence[Strip]:
        """Return the pieces between cuts; itself where there are none, which ``Strip`` would keep: a circle."""
        found = list(cuts)
        return [self] if found == [self.cell_length] else super().divide(found)


def segments(row: Text, width: int, style_of: Callable[[str | Style], Style], ground: Style) -> list[Segment]:
    """Return the first ``width`` cells of a row, filled up with ``ground``, in runs of one style.

    Of spans that overlap the later one is on top.
    """
    plain, base = row.plain[:width], ground + style_of(row.style)
    cuts = sorted({0, len(plain), *(at for span in row.spans for at in (span.start, span.end) if at < len(plain))})
    found = []
    for start, end in pairwise(cuts):
        style = base
        for span in row.spans:
            if span.start <= start < span.end:
                style += style_of(span.style)
        found.append(Segment(plain[start:end], style))
    if len(plain) < width:
        found.append(Segment(" " * (width - len(plain)), ground))
    return found


def changes(before: Sequence[Text], now: Sequence[Text], width: int, height: int) -> Iterator[Region]:
    """Yield the cells of each row that differ."""
    for y in range(min(height, max(len(before), len(now)))):
        if y >= len(before) or y >= len(now):
            yield Region(0, y, width, 1)
            continue
        old, new = before[y], now[y]
        if old.spans != new.spans or old.style != new.style or len(old.plain) != len(new.plain):
            yield Region(0, y, width, 1)
        elif old.plain != new.plain:
            differing = [
                at for at, (one, other) in enumerate(zip(old.plain, new.plain, strict=True)) if one != other
            ]
            yield Region(differing[0], y, differing[-1] + 1 - differing[0], 1)


@dataclass(frozen=True, slots=True)
class Shared:
    """What all columns have in common: their scales, their room, and which sources are silent."""

    pipelines: tuple[Pipeline, ...] = DEFAULT_PIPELINES
    """The pipelines that have a column."""
    top_rate: float = 1.0
    """Orders per second at the top of the rate's sparkline."""
    top_count: int = 1
    """Orders of a bar of full length."""
    fault_marks: tuple[bool, ...] = ()
    """Seconds in which a fault on purpose was felt, oldest first, in step with the histories."""
    spark_rows: int = 1
    """Rows of each sparkline."""
    chart_rows: int = 0
    """Rows of the latency chart; 0: there is none."""
    gaps: int = 0
    """Empty rows between the sections."""
    alone: bool = False
    """Whether the column has the whole width, and no frame."""
    brief: bool = False
    """Whether the breakdowns make room for the caption of a talk."""
    looks: frozenset[str] = frozenset()
    """Sections that a talk speaks of, as ``coffee_tui.data.tour.Look`` calls them."""
    looked_at: frozenset[Pipeline] = frozenset()
    """Columns that it speaks of; empty: all."""
    silent: frozenset[str] = frozenset()
    """Sources that do not answer: ``redis``, ``api``."""


class Section:
    """One section of a column: rows made of a view, made again only where their part of it has changed."""

    SOURCES: ClassVar[frozenset[str]] = frozenset({"redis"})
    """Sources without which what it shows is stale: it is greyed."""

    def __init__(self) -> None:
        self._inputs: object = None
        self._rows: list[Text] = []

    def inputs(self, view: PipelineView, shared: Shared) -> object:
        """Return everything that the rows are made of, beside the width."""
        raise NotImplementedError

    def rows(self, view: PipelineView, width: int, shared: Shared) -> Sequence[Text]:
        """Return the rows, each at most ``width`` cells wide."""
        raise NotImplementedError

    def cached_rows(self, view: PipelineView, width: int, shared: Shared) -> list[Text]:
        """Return the rows; where nothing has changed, those made before."""
        stale = bool(self.SOURCES & shared.silent)
        inputs = (view.pipeline, width, stale, self.inputs(view, shared))
        if inputs != self._inputs:
            self._inputs = inputs
            self._rows = list(self.rows(view, width, shared))
            if stale:
                self._rows = [Text(row.plain, DIM) for row in self._rows]
        return self._rows


def accent(view: PipelineView) -> str:
    """Return the colour of a pipeline."""
    return ACCENT[view.pipeline]
