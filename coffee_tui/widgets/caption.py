"""The caption of a talk: which step, two lines, what is under way, the next key."""

from dataclasses import dataclass
from enum import StrEnum

from rich.text import Text

from coffee_tui.data.tour import LINE_CELLS
from coffee_tui.keymap import named
from coffee_tui.theme import AMBER, GREY, RED, TEXT
from coffee_tui.widgets.format import clip
from coffee_tui.widgets.rows import RowsWidget

CAPTION_ROWS = 5
"""Rows that it takes: a heading, two lines, one for what goes on, and the last for the keys."""


class Doing(StrEnum):
    """How what a step does stands."""

    HINT = "hint"
    """Nothing is done: a word beside it."""
    BUSY = "busy"
    DONE = "done"
    FAILED = "failed"


_STATES = {
    Doing.HINT: ("·", GREY),
    Doing.BUSY: ("…", AMBER),
    Doing.DONE: ("✓", TEXT),
    Doing.FAILED: ("×", RED),
}


@dataclass(frozen=True, slots=True)
class CaptionView:
    """What a caption says."""

    number: int = 0
    """Which step, from 1 on; 0: there is no talk."""
    of: int = 0
    """How many there are."""
    title: str = ""
    lines: tuple[str, str] = ("", "")
    goes_on: str = ""
    """What the step does now, or has done."""
    state: Doing = Doing.DONE
    """How that stands."""
    following: str = ""
    """Title of the next step; empty: this is the last."""


class TourCaption(RowsWidget):
    """Two lines, bold, at the place of the order panel."""

    DEFAULT_CSS = """
    TourCaption {
        height: 5; padding: 0 2; background: $c-raised; color: $c-text; display: none;
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._view = CaptionView()

    def show(self, view: CaptionView) -> None:
        """Show a step; none: nothing."""
        if view != self._view:
            self._view = view
            self.display = view.number > 0
            self.redraw()

    def rows(self, width: int) -> list[Text]:
        """Return the five rows."""
        view = self._view
        head = Text(f"{view.number}/{view.of} ", f"bold {AMBER}").append(view.title, f"bold {TEXT}")
        dots = "●" * view.number + "○" * (view.of - view.number)
        if head.cell_len + len(dots) + 2 <= width:
            head.append(dots.rjust(width - head.cell_len), AMBER)
        lines = [Text(clip(line, width), f"bold {TEXT}") for line in _folded(view.lines, width)]
        glyph, colour = _STATES[view.state]
        state = Text(clip(f"{glyph} {view.goes_on}", width), colour) if view.goes_on else Text()
        following = f"on to: {view.following}" if view.following else "ends the talk"
        ways = (("{tour-on}", following), ("{tour-back}", "back"), ("{tour-end}", "end"))
        keys = Text("   ").join(
            Text(f"{named(self, key)} ", f"bold {AMBER}").append(what, GREY) for key, what in ways
        )
        return [head, *lines, state, keys] if len(lines) == 2 else [head, *lines, keys]


def _folded(lines: tuple[str, str], width: int) -> list[str]:
    """Return the two lines; where they are too long three, in the place of what goes on."""
    if width >= LINE_CELLS or max(map(len, lines)) <= width:
        return list(lines)
    words, folded = " ".join(lines).split(), [""]
    for word in words:
        longer = f"{folded[-1]} {word}".strip()
        folded = [*folded[:-1], longer] if len(longer) <= width else [*folded, word]
    return folded[:3]
