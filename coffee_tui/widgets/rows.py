"""Rows of text as the compositor wants them, and what differs between two drawings of them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.geometry import Region
from textual.strip import Strip


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
