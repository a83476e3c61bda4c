"""With every key bound otherwise: each text names the new one, and none the old."""

import re
from itertools import chain
from pathlib import Path

import pytest
from textual.binding import Binding

from coffee_tui.app import CoffeeApp, screens
from coffee_tui.data.sources import Sources
from coffee_tui.keymap import key_name
from coffee_tui.screens import xray
from tests.integration.coffee_tui import page_scenes, scenes
from tests.integration.coffee_tui.desk import NotedFaults
from tests.unit.coffee_tui.scripted import ALL, NotedOrders, ScriptedFeed, screen_text
from tests.waiting import until

BINDINGS: dict[str, Binding] = {each.id: each for each in chain.from_iterable(screens().values()) if each.id}
OTHER = [*(f"f{number}" for number in range(1, 25)), *(f"alt+{letter}" for letter in "abcdefghijklmnopqrstuvwxyz")]
KEYS = dict(zip(BINDINGS, OTHER, strict=False))
ALSO_WORDS = {"a", "s", "?", "+", "-", ".", "<", ">", "/", "→", "←", *"123456789"}
"""Keys that are words, figures and signs as well: of these it is looked what follows them."""
OLD = {key_name(binding) for binding in BINDINGS.values()} - ALSO_WORDS
OF_FORMS = {"enter", "esc"}
"""What fields and help answer to, whatever is bound."""
_NAMES_A_KEY = re.compile(
    r"(?:^|\s)([as1-9?+→←-](?: and -)?) (?:sends?|shows?|changes?|on to|back|begins)\b", re.MULTILINE
)


def _old_keys_in(text: str) -> set[str]:
    return {word.strip("():·,;│╭╮╰╯─") for word in text.split()} & OLD | set(_NAMES_A_KEY.findall(text))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("view held: p goes on", {"p"}),
        ("x, replay-v2: what (n: another)", {"x", "n"}),
        ("press\n1 sends one", {"1"}),
        ("+ and - change its rate", {"+ and -"}),
        ("→ on to: a load   ← back", {"→", "←"}),
        ("7 s ago · a log of 3 → 4", set()),
    ],
)
def test_a_text_that_names_a_key_is_recognized(text: str, found: set[str]) -> None:
    assert _old_keys_in(text) == found


SCENES: dict[str, tuple[tuple[str, ...], str]] = {
    "welcome": (
        (),
        "{load}  starts and stops a stream of orders, {more} and {fewer} change its",
    ),
    "held": (("pause",), "view held: {pause} goes on"),
    "talk": (("tour",), "{tour-on} on to: One order into each   {tour-back} back   {tour-end} end"),
    "talk's end": (("tour", *["tour-on"] * 5), "at what cost. {compare} compares them"),
    "orders": (("orders",), "go back, {order-all} sends one into each, {load} a load"),
    "x-ray": (("xray", "xray-next"), "into a shell; {copy} copies it"),
    "faults": (("faults",), "{faults-strike} breaks it"),
    "compare": (("compare",), "{load} sends a load; the figures"),
    "logs": (("logs", "logs-follow"), "staying: {logs-follow} follows the end again"),
    "lag": (("lag",), "{close} back"),
    "costs": (("costs",), "{close} back"),
    "windows": (("windows",), "{close} back"),
    "help": (("help",), "{settings}  the load's settings"),
}


@pytest.mark.parametrize(("actions", "names"), SCENES.values(), ids=SCENES)
async def test_a_page_names_the_keys_as_they_are_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, actions: tuple[str, ...], names: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(xray, "fetch_xray", page_scenes.xray)
    stack = page_scenes.attachment(tmp_path)
    feed, orders, faults = ScriptedFeed(), NotedOrders(), NotedFaults(stack)
    if "xray" in actions:
        page_scenes.sent(orders.journal)
    stage = Sources(ALL, feed, orders, attachment=stack, faults=faults)
    app = CoffeeApp(stage, welcome=not actions, keys=KEYS)
    # Nothing is cut off at 120 cells; at 80 help hides what lies below it.
    async with app.run_test(size=(80, 24) if "help" in actions else (120, 40)) as pilot:
        feed.queue.put_nowait(scenes.healthy())
        await until(lambda: app.live.snapshot == scenes.healthy())
        for action in actions:
            await pilot.press(KEYS[action])
        wanted = re.sub(r"\{(.*?)\}", lambda found: KEYS[found[1]], names)
        await until(lambda: wanted in " ".join(screen_text(app).split()) or wanted in screen_text(app))
        assert _old_keys_in(screen_text(app)) <= OF_FORMS
        said = " ".join(str(each.message) for each in app._notifications)
        assert not _old_keys_in(said)
        assert {key_name(key) for key in app.live.shown_keys()} <= set(KEYS.values())


async def test_what_is_told_in_passing_names_them_too(tmp_path: Path) -> None:
    stack = page_scenes.attachment(tmp_path)
    faults = NotedFaults(stack)
    faults.view = page_scenes.StagedFaults(stack).view
    app = CoffeeApp(Sources(ALL, ScriptedFeed(), NotedOrders(), attachment=stack, faults=faults), keys=KEYS)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(lambda: app.live.is_current)

        def said(text: str) -> bool:
            return text in str([each.message for each in app._notifications])

        await pilot.press(KEYS["tour"])
        await until(lambda: "ways to take an order" in screen_text(app))
        await pilot.press(KEYS["tour-end"])
        await until(lambda: said(f"the talk is over: {KEYS['tour']} begins it again"))
        await pilot.press(KEYS["faults"])
        await until(lambda: "an acknowledged XADD survives" in screen_text(app))
        await pilot.press(KEYS["faults-strike"])
        await until(lambda: said(f"is under way: {KEYS['faults-cancel']} cancels it"))
        await pilot.press("pagedown", KEYS["faults-link"])
        await until(lambda: f"on api:redis ({KEYS['faults-link']}: another)" in screen_text(app))
