"""Every action of a screen is in the palette and in the help, under the mouse; what is written can be clicked."""

from pathlib import Path
from typing import Any

import pytest
from textual.screen import Screen

from coffee_tui.screens.base_screen import BaseScreen, Page
from coffee_tui.screens.help import HelpScreen
from coffee_tui.screens.live import LiveScreen
from tests.integration.coffee_tui.desk import Desk, desk_at
from tests.integration.coffee_tui.test_keys import EVERY_PAGE, FAULTS, LIVE, LOGS, SCREENS, Effect, own_bindings
from tests.unit.coffee_tui.scripted import screen_strips, screen_text
from tests.waiting import until

WITH_KEYS = [screen for screen in SCREENS if issubclass(screen, BaseScreen) and screen is not Page]


@pytest.mark.parametrize("screen", WITH_KEYS, ids=lambda screen: screen.__name__)
async def test_every_action_is_in_the_palette_and_under_the_mouse(
    tmp_path: Path, screen: type[Screen[Any]]
) -> None:
    async with desk_at(tmp_path, SCREENS[screen][0], size=(80, 50)) as desk:
        bindings = own_bindings(screen) if screen is LiveScreen else [*own_bindings(screen), *own_bindings(Page)]
        bindings = [each for each in bindings if not each.action.startswith("tour_")]  # there is no talk
        titles = {command.title for command in desk.app.get_system_commands(desk.app.screen)}
        assert {each.tooltip for each in bindings if each.action != "app.command_palette"} == titles
        await _click(desk, "? help")
        await until(lambda: desk.at(HelpScreen) and "A last line" in screen_text(desk.app))
        strips = screen_strips(desk.app)
        under = {one.style.meta.get("pressed") for strip in strips for one in strip if one.style is not None}
        assert under - {None} == {each.action for each in bindings}


@pytest.mark.parametrize(
    ("opened_by", "words", "effect"),
    [
        ("", ("? help", "fewer orders per second"), LIVE["minus"]),
        ("", ("? help", "what is claimed"), LIVE["c"]),
        ("l", ("? help", "the log before"), LOGS["left"]),
        ("l", ("? help", "every action by name"), LIVE["ctrl+p"]),
        ("l", ("flink-job",), LOGS["right"]),
        ("l", ("esc back",), EVERY_PAGE["escape"]),
        ("x", ("kill-postgres",), FAULTS["enter"]),
    ],
)
async def test_a_click_on_what_is_written_does_it(
    tmp_path: Path, opened_by: str, words: tuple[str, ...], effect: Effect
) -> None:
    async with desk_at(tmp_path, opened_by, size=(80, 50)) as desk:
        for each in words:
            await until(lambda each=each: each in screen_text(desk.app))
            await _click(desk, each)
        await until(lambda: effect(desk))


async def test_a_click_beside_the_help_closes_it(tmp_path: Path) -> None:
    async with desk_at(tmp_path, "question_mark", size=(120, 50)) as desk:
        await _click(desk, "A part:")
        assert desk.at(HelpScreen)
        await desk.pilot.click(offset=(1, 1))
        await until(lambda: desk.on_live)


async def test_the_palette_of_a_page_has_its_actions(tmp_path: Path) -> None:
    async with desk_at(tmp_path, "l") as desk:
        await desk.pilot.press("ctrl+p", *"the log before")
        await until(lambda: "key ←" in screen_text(desk.app))
        await desk.pilot.press("enter")
        await until(lambda: LOGS["left"](desk))


async def _click(desk: Desk, words: str) -> None:
    lines = screen_text(desk.app).splitlines()
    y = next(at for at, line in enumerate(lines) if words in line)
    await desk.pilot.click(offset=(lines[y].index(words), y))
