"""Every key of every screen does its thing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.binding import Binding
from textual.command import CommandPalette
from textual.screen import Screen
from textual.widgets import RichLog

from coffee_core.pipelines import PIPELINES
from coffee_core.pipelines.constants import V1, V2, V3
from coffee_tui.data.load_plan import LoadPlan
from coffee_tui.screens.base_screen import Page
from coffee_tui.screens.compare import CompareScreen
from coffee_tui.screens.costs import CostsScreen
from coffee_tui.screens.faults import FaultsScreen
from coffee_tui.screens.help import HelpScreen
from coffee_tui.screens.lag import LagScreen
from coffee_tui.screens.live import LiveScreen
from coffee_tui.screens.load import LoadScreen
from coffee_tui.screens.logs import LogsScreen
from coffee_tui.screens.sent_orders import SentOrdersScreen
from coffee_tui.screens.windows import WindowsScreen
from coffee_tui.screens.xray import XRayScreen
from tests.integration.coffee_tui.desk import Desk, desk_at
from tests.unit.coffee_tui.scripted import ALL, screen_text
from tests.waiting import until

Effect = Callable[[Desk], bool]
LIVE: dict[str, Effect] = {
    "1": lambda desk: desk.asked(("order", V1)),
    "2": lambda desk: desk.asked(("order", V2)),
    "3": lambda desk: desk.asked(("order", V3)),
    "a": lambda desk: desk.asked(("order", *ALL)),
    "space": lambda desk: desk.asked("toggle"),
    "plus": lambda desk: desk.asked(("rate", 1)),
    "equals_sign": lambda desk: desk.asked(("rate", 1)),
    "minus": lambda desk: desk.asked(("rate", -1)),
    "b": lambda desk: desk.asked("burst"),
    "i": lambda desk: desk.asked(("choose", V1)),
    "g": lambda desk: desk.at(LoadScreen),
    "x": lambda desk: desk.at(FaultsScreen),
    "c": lambda desk: desk.at(CompareScreen),
    "o": lambda desk: desk.at(SentOrdersScreen),
    "w": lambda desk: desk.at(WindowsScreen),
    "r": lambda desk: desk.at(XRayScreen),
    "k": lambda desk: desk.at(LagScreen),
    "u": lambda desk: desk.at(CostsScreen),
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
    "T": lambda desk: "1/6" in screen_text(desk.app),
    "T right": lambda desk: "2/6" in screen_text(desk.app),
    "T right left": lambda desk: "1/6" in screen_text(desk.app),
    "T right escape": lambda desk: "the talk is over" in str([each.message for each in desk.app._notifications]),
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
    "pagedown n": lambda desk: "on api:redis (n: another)" in screen_text(desk.app),
}
XRAY: dict[str, Effect] = {
    # Nothing answers under the desk's addresses: the order is sent all the same.
    "n": lambda desk: desk.asked(("order", V1)),
    **dict.fromkeys(("right", "tab"), lambda desk: desk.app.screen._pipeline == V2),
    **dict.fromkeys(("left", "shift+tab"), lambda desk: desk.app.screen._pipeline == V3),
}
LOAD: dict[str, Effect] = {
    "escape": lambda desk: desk.on_live and not desk.orders.asked,
    "ctrl+s": lambda desk: desk.on_live and desk.asked(LoadPlan()),
}
HELP: dict[str, Effect] = {
    **dict.fromkeys(("escape", "question_mark", "q"), lambda desk: desk.on_live),
    "y": lambda desk: "start or stop the load" in desk.app.clipboard,
}
SCREENS: dict[type[Screen[Any]], tuple[str, dict[str, Effect]]] = {
    LiveScreen: ("", LIVE),
    Page: ("c", EVERY_PAGE),
    CompareScreen: ("c", {}),
    SentOrdersScreen: ("o", SENT),
    LogsScreen: ("l", LOGS),
    WindowsScreen: ("w", {}),
    XRayScreen: ("r", XRAY),
    LagScreen: ("k", {}),
    CostsScreen: ("u", {}),
    FaultsScreen: ("x", FAULTS),
    LoadScreen: ("g", LOAD),
    HelpScreen: ("question_mark", HELP),
}
"""Screen → the key that leads to it, and what each of its own keys does."""


def own_bindings(screen: type[Screen[Any]]) -> list[Binding]:
    """Return the keys that a screen has itself, not those of what it is made from or of what does not run here."""
    elsewhere = {f"order('{pipeline}')" for pipeline in PIPELINES if pipeline not in ALL}
    return [key for key in vars(screen).get("BINDINGS", ()) if key.action not in elsewhere]


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


@pytest.mark.parametrize("screen", SCREENS, ids=lambda screen: screen.__name__)
def test_no_key_is_without_its_test(screen: type[Screen[Any]]) -> None:
    keys = {key for binding in own_bindings(screen) for key in binding.key.split(",")}
    assert {pressed.split()[-1] for pressed in SCREENS[screen][1]} == keys
