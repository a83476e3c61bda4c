"""The form of the load, over the Live screen: by keys and by mouse."""

import re
from dataclasses import replace

import pytest
from textual.widgets import Input

from coffee_core.load.schedule import Pattern
from coffee_core.pipelines.constants import V1, V2
from coffee_tui.data.load_plan import LoadPlan
from coffee_tui.screens.load import LoadScreen
from tests.unit.coffee_tui.scripted import app, screen_text
from tests.waiting import until


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (168, 44)])
async def test_everything_in_the_form_is_reached_and_applied(size: tuple[int, int]) -> None:
    running, _, orders = app()
    async with running.run_test(size=size) as pilot:
        await until(lambda: running.screen is running.live)
        await pilot.press("g")
        await until(lambda: isinstance(running.screen, LoadScreen))
        await pilot.press(*"2000")
        for name, text in (("repeats", "7.5"), ("latte", "3"), ("burst", "50")):
            running.screen.query_one(f"#{name}", Input).value = text
        await pilot.press("shift+tab", "right", "right", "space", "shift+tab", "space")
        # The glyphs tell what is chosen: colour may be missing.
        await until(lambda: re.search(r"✓ +v1 +✓ +v2 +· +v3", screen_text(running)))
        assert re.search(r"○ +steady +○ +ramp +● +poisson +○ +burst", screen_text(running))
        await pilot.press("ctrl+s")
        await until(lambda: running.screen is running.live)
    drinks = tuple((name, 3.0 if name == "latte" else 1.0) for name, _ in LoadPlan().drinks)
    wanted = LoadPlan((V1, V2), 2_000, Pattern.POISSON, repeats=0.075, burst_orders=50)
    assert orders.asked == [replace(wanted, drinks=drinks)]


async def test_what_makes_no_load_keeps_the_form_and_says_why() -> None:
    running, _, orders = app()
    async with running.run_test(size=(100, 30)) as pilot:
        await until(lambda: running.screen is running.live)
        await pilot.press("g")
        await until(lambda: isinstance(running.screen, LoadScreen))
        await pilot.press(*"fast", "enter")
        await until(lambda: "the rate must be a number, not 'fast'" in screen_text(running))
        assert orders.asked == []
        await pilot.press("escape")
        await until(lambda: running.screen is running.live)
        assert orders.asked == []


async def test_the_mouse_opens_applies_and_cancels() -> None:
    running, _, orders = app()
    async with running.run_test(size=(100, 30)) as pilot:
        await until(lambda: running.screen is running.live)

        async def click(what: str) -> None:
            await until(lambda: running.screen.query(what) and running.screen.query_one(what).region.area)
            await pilot.click(what)

        for button, asked in (("#cancel", []), ("#apply", [LoadPlan()])):
            await click("OrdersPanel")
            await until(lambda: isinstance(running.screen, LoadScreen))
            await click(button)
            await until(lambda: running.screen is running.live)
            assert orders.asked == asked
