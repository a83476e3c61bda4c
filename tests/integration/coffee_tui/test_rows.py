"""Rows that are drawn again alone look as if everything had been drawn anew; nothing of them is left behind."""

import gc
from typing import ClassVar

import pytest
from rich.segment import Segment
from rich.text import Text
from textual.app import ComposeResult

from coffee_tui.theme import AMBER, GREY, RED, ThemedApp
from coffee_tui.widgets.rows import Row, RowsWidget
from coffee_tui.widgets.screenshot import picture


class Rows(RowsWidget):
    """Rows that a test writes."""

    DEFAULT_CSS = "Rows { border: round $c-rule; padding: 1 2; height: 9; width: 30; }"
    written: ClassVar[list[Text]] = []

    def rows(self, width: int) -> list[Text]:
        return [Text().append(row) for row in self.written]


class Host(ThemedApp):
    def compose(self) -> ComposeResult:
        self.rows = Rows()
        self.rows.border_title = "rows"
        yield self.rows


STEPS = (
    ["12 orders", "one", "two"],
    ["13 orders", "one", "two"],
    ["13 orders", "one, and now longer than there is room for it", ""],
    ["14 orders"],
    ["14 orders", "", "a third row"],
)


@pytest.mark.parametrize("no_color", [False, True])
@pytest.mark.parametrize("theme", ["dark", "terminal"])
async def test_what_is_drawn_again_looks_as_drawn_anew(
    monkeypatch: pytest.MonkeyPatch, theme: str, *, no_color: bool
) -> None:
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    app = Host()
    app.theme = theme
    async with app.run_test(size=(40, 12)) as pilot:
        for at, step in enumerate(STEPS):
            Rows.written = [Text(row, (RED, GREY, AMBER)[(at + y) % 3]) for y, row in enumerate(step)]
            app.rows.redraw()
            app.rows.set_border_subtitle(f"step {at}")
            await pilot.pause()
            drawn_again = picture(app)
            app.rows.refresh()
            await pilot.pause()
            assert drawn_again == picture(app)
            assert step[0].split()[0] in drawn_again
            assert f"step&#160;{at}" in drawn_again


async def test_a_theme_reaches_rows_that_do_not_change() -> None:
    Rows.written = [Text("12 orders", RED)]
    app = Host()
    async with app.run_test(size=(40, 12)) as pilot:
        dark = picture(app)
        app.theme = "light"
        await pilot.pause()
        assert picture(app) != dark


def test_a_row_that_is_not_cut_keeps_nothing_of_itself() -> None:
    row = Row([Segment("12 orders")], 9)
    assert row.divide([9]) == [row]
    assert gc.get_referrers(row) == []
    assert [piece.text for piece in row.divide([2, 9])] == ["12", " orders"]
