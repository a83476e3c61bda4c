"""All built-in pipelines at once: a column and a row of the band each, where the terminal is wide enough."""

import pytest

from coffee_core.pipelines import PIPELINES
from coffee_tui.app import CoffeeApp
from coffee_tui.data.sources import Sources
from coffee_tui.screens.live import columns_cells
from tests.unit.coffee_tui.scripted import NotedOrders, ScriptedFeed, column, screen_text, snapshot
from tests.waiting import until

FEWEST_CELLS = 34


async def shown(cells: int) -> str:
    feed = ScriptedFeed()
    app = CoffeeApp(Sources(PIPELINES, feed, NotedOrders()))
    async with app.run_test(size=(cells, 48)):
        feed.queue.put_nowait(snapshot(pipelines=tuple(column(each) for each in PIPELINES)))
        await until(lambda: f"all is well with {PIPELINES[0]}" in screen_text(app))
        return screen_text(app)


@pytest.mark.parametrize("more", [0, 30])
async def test_each_has_a_column_and_a_row_of_the_band(more: int) -> None:
    text = await shown(FEWEST_CELLS * len(PIPELINES) + more)
    (titles,) = [row for row in text.splitlines() if f"{PIPELINES[0]}  {PIPELINES[0].info.title}" in row]
    rows = text.splitlines()
    first = next(at for at, row in enumerate(rows) if "How late is the dashboard?" in row)
    assert [row.split()[0] for row in rows[first + 1 : first + 1 + len(PIPELINES)]] == list(PIPELINES)
    for each in PIPELINES:
        assert f"{each}  {each.info.title}" in titles
        assert f"all is well with {each}" in text


async def test_where_they_have_no_room_one_is_shown_and_the_others_are_tabs() -> None:
    text = await shown(columns_cells(len(PIPELINES)) - 1)
    assert f"all is well with {PIPELINES[0]}" in text
    assert f"tab shows {' '.join(PIPELINES[1:])}" in text
    assert f"all is well with {PIPELINES[1]}" not in text
