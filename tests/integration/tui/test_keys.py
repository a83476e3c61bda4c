"""Every key of every screen does its thing; every action is in the palette, and under the mouse."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from textual.binding import Binding
from textual.command import CommandPalette
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Input, RichLog

from coffee_core.pipelines import Pipeline
from coffee_tui.app import CoffeeApp
from coffee_tui.feed.faults_view import FaultView, Phase
from coffee_tui.feed.load_plan import LoadPlan
from coffee_tui.feed.player import Player
from coffee_tui.feed.sources import Sources
from coffee_tui.screens.compare import CompareScreen
from coffee_tui.screens.faults import FaultsScreen
from coffee_tui.screens.help import HelpScreen
from coffee_tui.screens.live import LiveScreen
from coffee_tui.screens.load import LoadScreen
from coffee_tui.screens.logs import LogsScreen
from coffee_tui.screens.manners import Manners
from coffee_tui.screens.page import Page
from coffee_tui.screens.sent import SentScreen
from coffee_tui.screens.windows import WindowsScreen
from tests.integration.tui import page_scenes
from tests.unit.tui.scripted import ALL, NotedOrders, ScriptedFeed, screen_text
from tests.waiting import until


class NotedFaults(page_scenes.StagedFaults):
    """Notes what is to be broken."""

    def __init__(self, attachment: Any) -> None:
        super().__init__(attachment)
        self.view = FaultView()
        self.asked: list[str] = []

    async def run(self, name: str, *, bare: bool = False) -> None:
        self.asked.append(name)
        self.view = FaultView(name, Phase.STRUCK, struck_s=0.0)

    def cancel(self) -> None:
        self.asked.append("cancel")


@dataclass
class Desk:
    """An app with everything noted that its keys ask for."""

    app: CoffeeApp
    orders: NotedOrders
    faults: NotedFaults
    player: Player
    folder: Path
    pilot: Pilot[Any]

    def at(self, screen: type[Screen[Any]]) -> bool:
        """Tell whether a screen is on top."""
        return isinstance(self.app.screen, screen)

    def asked(self, what: object) -> bool:
        """Tell whether that alone was asked of the orders."""
        return self.orders.asked == [what]

    @property
    def on_live(self) -> bool:
        return self.app.screen is self.app.live

    @property
    def field_is_open(self) -> bool:
        return self.app.screen.query_one(Input).has_focus


Effect = Callable[[Desk], bool]
LIVE: dict[str, Effect] = {
    "1": lambda desk: desk.asked(("order", Pipeline.V1)),
    "2": lambda desk: desk.asked(("order", Pipeline.V2)),
    "3": lambda desk: desk.asked(("order", Pipeline.V3)),
    "a": lambda desk: desk.asked(("order", *ALL)),
    "space": lambda desk: desk.asked("toggle"),
    "plus": lambda desk: desk.asked(("rate", 1)),
    "equals_sign": lambda desk: desk.asked(("rate", 1)),
    "minus": lambda desk: desk.asked(("rate", -1)),
    "b": lambda desk: desk.asked("burst"),
    "i": lambda desk: desk.asked(("choose", Pipeline.V1)),
    "g": lambda desk: desk.at(LoadScreen),
    "x": lambda desk: desk.at(FaultsScreen),
    "c": lambda desk: desk.at(CompareScreen),
    "o": lambda desk: desk.at(SentScreen),
    "w": lambda desk: desk.at(WindowsScreen),
    "l": lambda desk: desk.at(LogsScreen),
    "p": lambda desk: desk.player.paused,
    "y": lambda desk: "v2" in desk.app.clipboard,
    "s": lambda desk: bool(list(desk.folder.glob("coffee-*.svg"))),
    "t": lambda desk: desk.app.theme == "light",
    "ctrl+p": lambda desk: desk.at(CommandPalette),
    "full_stop": lambda desk: desk.player.paused,
    "greater_than_sign": lambda desk: desk.player.speed == 2,
    "right_square_bracket": lambda desk: desk.player.speed == 2,
    "less_than_sign": lambda desk: desk.player.speed == 0.5,
    "left_square_bracket": lambda desk: desk.player.speed == 0.5,
    "tab": lambda desk: desk.app.live.current == 1,
    "question_mark": lambda desk: desk.at(HelpScreen),
    "q": lambda desk: desk.app.return_code == 0,
}
EVERY_PAGE: dict[str, Effect] = {
    "y": lambda desk: "Message Persistence" in desk.app.clipboard,
    **{key: LIVE[key] for key in ("s", "t", "ctrl+p", "question_mark")},
    "escape": lambda desk: desk.on_live,
    "q": lambda desk: desk.on_live,
}
SENT: dict[str, Effect] = {
    "slash": lambda desk: desk.field_is_open,
    "f": lambda desk: "f follows the newest again" in screen_text(desk.app),
}
LOGS: dict[str, Effect] = {
    **dict.fromkeys(("right", "tab"), lambda desk: "job submitted" in screen_text(desk.app)),
    **dict.fromkeys(("left", "shift+tab"), lambda desk: "redis is back" in screen_text(desk.app)),
    "slash": lambda desk: desk.field_is_open,
    "f": lambda desk: not desk.app.screen.query_one(RichLog).auto_scroll,
}
FAULTS: dict[str, Effect] = {
    "enter": lambda desk: desk.faults.asked == ["kill-postgres"],
    "enter k": lambda desk: desk.faults.asked == ["kill-postgres", "cancel"],
}
LOAD: dict[str, Effect] = {
    "escape": lambda desk: desk.on_live and not desk.orders.asked,
    "ctrl+s": lambda desk: desk.on_live and desk.asked(LoadPlan()),
}
HELP: dict[str, Effect] = dict.fromkeys(("escape", "question_mark", "q"), lambda desk: desk.on_live)
SCREENS: dict[type[Screen[Any]], tuple[str, dict[str, Effect]]] = {
    LiveScreen: ("", LIVE),
    Page: ("c", EVERY_PAGE),
    CompareScreen: ("c", {}),
    SentScreen: ("o", SENT),
    LogsScreen: ("l", LOGS),
    WindowsScreen: ("w", {}),
    FaultsScreen: ("x", FAULTS),
    LoadScreen: ("g", LOAD),
    HelpScreen: ("question_mark", HELP),
}
"""Screen → the key that leads to it, and what each of its own keys does."""
WITH_KEYS = [screen for screen in SCREENS if issubclass(screen, Manners) and screen is not Page]


@asynccontextmanager
async def desk_at(folder: Path, opened_by: str, size: tuple[int, int] = (80, 24)) -> AsyncIterator[Desk]:
    """Open a screen."""
    stack = page_scenes.attachment(folder)
    orders, faults, player = NotedOrders(), NotedFaults(stack), Player([])
    page_scenes.sent(orders.journal)
    app = CoffeeApp(Sources(ALL, ScriptedFeed(), orders, player, stack, faults))
    async with app.run_test(size=size) as pilot:
        await until(lambda: app.live.is_current)
        if opened_by:
            await pilot.press(opened_by)
            await until(lambda: app.screen is not app.live)
            await pilot.pause()
        yield Desk(app, orders, faults, player, folder, pilot)


@pytest.mark.parametrize(
    ("opened_by", "keys", "effect"),
    [
        pytest.param(opened_by, keys.split(), effect, id=f"{screen.__name__} {keys}")
        for screen, (opened_by, effects) in SCREENS.items()
        for keys, effect in effects.items()
    ],
)
async def test_a_key_does_its_thing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened_by: str, keys: list[str], effect: Effect
) -> None:
    monkeypatch.chdir(tmp_path)
    async with desk_at(tmp_path, opened_by) as desk:
        assert not effect(desk)
        await desk.pilot.press(*keys)
        await until(lambda: effect(desk))


def _own(screen: type[Screen[Any]]) -> list[Binding]:
    return list(vars(screen).get("BINDINGS", ()))


@pytest.mark.parametrize("screen", SCREENS, ids=lambda screen: screen.__name__)
def test_no_key_is_without_its_test(screen: type[Screen[Any]]) -> None:
    keys = {key for binding in _own(screen) for key in binding.key.split(",")}
    assert {pressed.split()[-1] for pressed in SCREENS[screen][1]} == keys


@pytest.mark.parametrize("screen", WITH_KEYS, ids=lambda screen: screen.__name__)
async def test_every_action_is_in_the_palette_and_under_the_mouse(
    tmp_path: Path, screen: type[Screen[Any]]
) -> None:
    async with desk_at(tmp_path, SCREENS[screen][0], size=(80, 50)) as desk:
        bindings = _own(screen) if screen is LiveScreen else [*_own(screen), *_own(Page)]
        titles = {command.title for command in desk.app.get_system_commands(desk.app.screen)}
        assert {each.tooltip for each in bindings if each.action != "app.command_palette"} == titles
        await _click(desk, "? help")
        await until(lambda: desk.at(HelpScreen) and "A last line" in screen_text(desk.app))
        strips = desk.app.screen._compositor.render_strips()
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
