"""Every part while the stack comes up: what it does, what it waits for."""

from itertools import zip_longest

from rich.text import Text
from textual.reactive import reactive

from coffee_tui.data.snapshot import Health, PartView, Snapshot
from coffee_tui.theme import DIM, GREY, HEALTH, TEXT
from coffee_tui.widgets.format import clip
from coffee_tui.widgets.rows import RowsWidget

_ROWS, _GAP = 4, 2


class Parts(RowsWidget):
    """A grid of parts, down then across, in the place of the band above."""

    DEFAULT_CSS = "Parts { height: 4; padding: 0 2; }"

    snapshot: reactive[Snapshot] = reactive(Snapshot(), repaint=False)
    """What to show."""

    def watch_snapshot(self, before: Snapshot, now: Snapshot) -> None:
        """Draw again only where a part has changed."""
        if before.parts != now.parts:
            self.redraw()

    def rows(self, width: int) -> list[Text]:
        """Return every part: its glyph, name, state and detail."""
        parts = self.snapshot.parts
        if not parts:
            return [Text("no part of a stack is known here yet", GREY)]
        cells = [_cell(part) for part in parts]
        columns = [cells[at : at + _ROWS] for at in range(0, len(cells), _ROWS)]
        wanted = [max(cell.cell_len for cell in column) + _GAP for column in columns]
        if sum(wanted) > width:
            wanted = [width // len(columns)] * len(columns)
        for column, room in zip(columns, wanted, strict=True):
            for cell in column:
                cell.truncate(room - _GAP, overflow="ellipsis")
                cell.pad_right(room - cell.cell_len)
        return [Text().join(row) for row in zip_longest(*columns, fillvalue=Text())]


def _cell(part: PartView) -> Text:
    glyph, colour = HEALTH[part.health]
    cell = Text(f"{glyph} ", colour).append(clip(part.name, 21), TEXT if part.good else colour)
    if part.detail and part.health is Health.WAITING:
        # The detail names what it waits for: the word would repeat that.
        return cell.append(f" {part.detail}", GREY)
    cell.append(f" {part.word}", GREY)
    return cell.append(f" · {part.detail}", DIM) if part.detail else cell
