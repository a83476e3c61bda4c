"""Every part while the stack comes up: what it does, what it waits for."""

from rich.text import Text
from textual.reactive import reactive

from coffee_tui.feed.snapshot import PartView, Snapshot
from coffee_tui.theme import DIM, GREY, HEALTH, TEXT
from coffee_tui.widgets.lines import Lines
from coffee_tui.widgets.text import clip

_ROWS = 4


class Parts(Lines):
    """A grid of parts, down then across, in the place of the band above."""

    DEFAULT_CSS = "Parts { height: 4; padding: 0 2; }"

    snapshot: reactive[Snapshot] = reactive(Snapshot(), repaint=False)
    """What to show."""

    def watch_snapshot(self, before: Snapshot, now: Snapshot) -> None:
        """Draw again only where a part has changed."""
        if before.parts != now.parts:
            self.redraw()

    def lines(self, width: int) -> list[Text]:
        """Return every part: its glyph, name, state and detail."""
        parts = self.snapshot.parts
        if not parts:
            return [Text("no part of a stack is known here yet", GREY)]
        columns = -(-len(parts) // _ROWS)
        width //= columns
        rows = []
        for row in range(min(_ROWS, len(parts))):
            line = Text()
            for part in parts[row::_ROWS]:
                line.append(_cell(part, width - 1)).append(" ")
            rows.append(line)
        return rows


def _cell(part: PartView, width: int) -> Text:
    glyph, colour = HEALTH[part.health]
    cell = Text(f"{glyph} ", colour).append(clip(part.name, 21), TEXT if part.good else colour)
    cell.append(f" {part.word}", GREY)
    if part.detail:
        cell.append(f" · {part.detail}", DIM)
    cell.truncate(width, overflow="ellipsis", pad=True)
    return cell
