"""The base of everything that is rows of text: what has changed is drawn again, cell by cell, and nothing else.

A dashboard draws the same rows ten times a second with a few digits changed. Textual's own way from a text to the
terminal treats a widget as a whole; here a widget keeps its rows, compares, and gives the compositor the regions.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from coffee_tui.theme import DIM


class Lines(Widget):
    """Rows of text, each of single cells, one below the other."""

    ALLOW_SELECT: ClassVar[bool] = False

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._drawn: list[Text] = []
        self._strips: dict[int, Strip] = {}
        self._width = -1
        self._old = self._frame_alone = False

    def lines(self, width: int) -> Sequence[Text]:
        """Return the rows, each at most ``width`` cells wide."""
        raise NotImplementedError

    def frame_says(self, text: str) -> None:
        """Write into the lower border."""
        if text != (self.border_subtitle or ""):
            # Setting it draws the whole widget again: that one row is enough.
            self._frame_alone = True
            self.border_subtitle = text
            self._frame_alone = False

    def show_old(self, *, old: bool) -> None:
        """Grey what is shown while its source is silent: the glyphs stay, in any palette."""
        if old != self._old:
            self._old = old
            self.refresh()

    def _rows(self, width: int) -> list[Text]:
        rows = self.lines(width)
        return [Text(row.plain, DIM) for row in rows] if self._old else list(rows)

    def redraw(self) -> None:
        """Draw again what has changed."""
        width, height = self.size
        if width != self._width:
            self.refresh()
            return
        drawn = self._rows(width)
        changed = list(_changes(self._drawn, drawn, width, height))
        self._drawn = drawn
        for region in changed:
            self._strips.pop(region.y, None)
        if changed:
            self.refresh(*changed)

    def render_line(self, y: int) -> Strip:
        """Return one row as the compositor wants it."""
        width = self.size.width
        if width != self._width:
            self._width, self._drawn = width, self._rows(width)
            self._strips.clear()
        if y not in self._strips:
            self._strips[y] = self._strip(y, width)
        return self._strips[y]

    def _strip(self, y: int, width: int) -> Strip:
        ground = self.visual_style.rich_style
        if y >= len(self._drawn):
            return Strip.blank(width, ground)
        row = self._drawn[y]
        segments = _segments(row, self.app.console.get_style, ground)
        return Strip(segments, len(row.plain)).adjust_cell_length(width, ground)

    def refresh(
        self, *regions: Region, repaint: bool = True, layout: bool = False, recompose: bool = False
    ) -> "Lines":
        """Draw the regions again; where none is given everything, from new rows."""
        if self._frame_alone and self.size:
            x, y = self.content_offset
            regions = (Region(-x, self.outer_size.height - 1 - y, self.outer_size.width, 1),)
        if not regions:
            self._width = -1
        return super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)

    def notify_style_update(self) -> None:
        """Take the colours of a new theme, or those of lost data."""
        self._strips.clear()
        super().notify_style_update()


def _segments(row: Text, style_of: Callable[[str | Style], Style], ground: Style) -> list[Segment]:
    """Return a row in runs of one style: of spans that overlap the later one is on top."""
    plain, base = row.plain, ground + style_of(row.style)
    cuts = sorted({0, len(plain), *(at for span in row.spans for at in (span.start, span.end) if at < len(plain))})
    found = []
    for start, end in pairwise(cuts):
        style = base
        for span in row.spans:
            if span.start <= start < span.end:
                style += style_of(span.style)
        found.append(Segment(plain[start:end], style))
    return found


def _changes(before: Sequence[Text], now: Sequence[Text], width: int, height: int) -> Iterator[Region]:
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
