"""Palette, copy, picture, the held view, the first run, what is remembered, NO_COLOR."""

from dataclasses import replace
from pathlib import Path

import pytest
from textual.command import CommandPalette

from coffee_core.load.schedule import Pattern
from coffee_core.pipelines import DEFAULT_PIPELINES
from coffee_core.pipelines.constants import V1, V2, V3
from coffee_tui.app import CoffeeApp
from coffee_tui.data.load_plan import LoadPlan
from coffee_tui.data.preferences import Preferences, load_preferences, preferences_path, save_preferences
from coffee_tui.data.snapshot import KeyOrder, OrdersView
from coffee_tui.data.sources import Sources
from coffee_tui.screens.faults import FaultsScreen
from coffee_tui.screens.live import KEYS
from coffee_tui.theme import PALETTES, TEXT
from tests.unit.coffee_tui.scripted import (
    ALL,
    NotedOrders,
    ScriptedFeed,
    app,
    column,
    screen_strips,
    screen_text,
    snapshot,
)
from tests.waiting import until


async def test_the_palette_has_every_action_and_runs_it() -> None:
    running, _, orders = app()
    async with running.run_test(size=(120, 40)) as pilot:
        await until(lambda: running.live.is_current)
        commands = {command.title: command for command in running.get_system_commands(running.screen)}
        for key in running.live.shown_keys():
            assert key.action == "app.command_palette" or key.tooltip in commands
        await pilot.press("ctrl+p")
        await until(lambda: isinstance(running.screen, CommandPalette))
        await pilot.press(*"burst into")
        await until(lambda: "a burst into each" in screen_text(running))
        await pilot.press("escape")
        await commands["one order into v2 (Streams)"].callback()
        assert orders.asked == [("order", V2)]


def test_no_two_actions_share_a_key() -> None:
    keys = [one for key in KEYS for one in key.key.split(",")]
    assert len(keys) == len(set(keys))


async def test_the_view_is_held_while_data_goes_on() -> None:
    running, feed, _ = app()
    async with running.run_test(size=(120, 40)) as pilot:
        feed.queue.put_nowait(snapshot())
        await until(lambda: "12:41" in screen_text(running))
        await pilot.press("p")
        feed.queue.put_nowait(snapshot(uptime_s=3))
        await until(lambda: running.live._newest == snapshot(uptime_s=3))
        assert "view held" in screen_text(running)
        assert "12:41" in screen_text(running)
        await pilot.press("p")
        await until(lambda: "00:03" in screen_text(running))
        assert "view held" not in screen_text(running)


@pytest.mark.parametrize(
    ("keys", "copied", "saved"),
    [
        ("", "v2 12,406 orders · $ 58,310.50 · 204/s · API p50 0.90 ms p99 3.8 ms", "v3 12,406 orders"),
        ("c", "Message Persistence", "API Response Time"),
        ("o", "no order sent from here yet", "no order sent from here yet"),
        ("l", "a recording has no logs", "a recording has no logs"),
        ("w", "a recording has no windows", "a recording has no windows"),
        ("question_mark", "start or stop the load", "A link: orders a second"),
    ],
)
async def test_a_page_leaves_its_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keys: str, copied: str, saved: str
) -> None:
    monkeypatch.chdir(tmp_path)
    running, feed, _ = app()
    async with running.run_test(size=(120, 40), notifications=True) as pilot:
        feed.queue.put_nowait(snapshot())
        await until(lambda: "12:41" in screen_text(running))
        below = running.screen
        await pilot.press(*keys.split())
        await until(lambda: (running.screen is below) is (not keys))
        await pilot.press("y")
        await until(lambda: "copied, and saved" in screen_text(running))
        assert copied in running.clipboard
    assert [saved in path.read_text() for path in saved_texts(tmp_path)] == [True]


def saved_texts(folder: Path) -> list[Path]:
    """Return the texts that were saved there."""
    return list(folder.glob("coffee-*.txt"))


async def test_a_folder_that_takes_no_text_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "absolute", lambda path: tmp_path / "gone" / path)
    running, _, _ = app()
    async with running.run_test(size=(160, 40), notifications=True) as pilot:
        await until(lambda: running.live.is_current)
        await pilot.press("y")
        await until(
            lambda: [each.message for each in running._notifications if "cannot be written" in each.message]
        )
        assert running.clipboard


async def test_keys_of_the_users_own_are_bound_and_shown() -> None:
    running, _, orders = app({"order-v2": "f5", "burst": "x", "faults": "b", "logs-follow": "n"})
    async with running.run_test(size=(120, 50)) as pilot:
        await until(lambda: running.live.is_current)
        await pilot.press("2", "f5", "x")
        await until(lambda: orders.asked == [("order", V2), "burst"])
        await until(lambda: "f5 v2" in screen_text(running))
        await pilot.press("b")
        await until(lambda: isinstance(running.screen, FaultsScreen))
        await pilot.press("escape", "question_mark")
        await until(lambda: "f5  one order into v2" in screen_text(running))
        assert "b  break a part" in screen_text(running)
        await pilot.press("escape", "l")
        await until(lambda: "n follow" in screen_text(running))


async def test_a_picture_is_saved_and_needs_nothing_from_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    running, feed, _ = app()
    async with running.run_test(size=(120, 40)) as pilot:
        feed.queue.put_nowait(snapshot())
        await until(lambda: "12:41" in screen_text(running))
        await pilot.press("s")
        await until(lambda: list(tmp_path.glob("coffee-*.svg")))
        await until(lambda: running._notifications)
    svg = _only_text(tmp_path)
    assert "cappuccino" in svg
    assert "url(http" not in svg
    assert "@font-face" not in svg


def _only_text(folder: Path) -> str:
    [path] = folder.glob("coffee-*.svg")
    return path.read_text()


async def test_the_first_run_says_what_to_press_until_something_is_pressed() -> None:
    orders = NotedOrders()
    running = CoffeeApp(Sources(ALL, ScriptedFeed(), orders), welcome=True)
    async with running.run_test(size=(80, 24)):
        await until(lambda: "see whose total moves first" in screen_text(running))
        assert "starts and stops a stream of orders" in screen_text(running)
        orders.views.put_nowait(OrdersView(keys=(KeyOrder(V1, "latte"),)))
        await until(lambda: "see whose total moves first" not in screen_text(running))
        assert "stopped" in screen_text(running)


async def test_no_color_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    running, feed, _ = app()
    async with running.run_test(size=(120, 40)):
        feed.queue.put_nowait(snapshot(pipelines=tuple(column(each) for each in DEFAULT_PIPELINES)))
        await until(lambda: "12:41" in screen_text(running))
        colours = {
            segment.style.color.triplet
            for strip in screen_strips(running)
            for segment in strip
            if segment.style is not None and segment.style.color is not None
        }
    assert colours
    assert all(one is not None and one.red == one.green == one.blue for one in colours)


def test_what_was_chosen_is_remembered(tmp_path: Path) -> None:
    path = preferences_path({"XDG_CONFIG_HOME": str(tmp_path)})
    assert load_preferences(path) == Preferences()
    assert load_preferences(path).first_run
    save_preferences(path, Preferences.of(OrdersView(LoadPlan((V2, V3), 200, Pattern.POISSON))))
    found = load_preferences(path)
    assert not found.first_run
    assert found.applied_to(OrdersView()).plan == LoadPlan((V2, V3), 200, Pattern.POISSON)
    assert found.applied_to(OrdersView(LoadPlan((V1,)))).plan.pipelines == (V1,)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"rate_per_s": 3, "pipelines": ["v9"]}'])
def test_a_memory_of_another_kind_is_the_defaults(tmp_path: Path, text: str) -> None:
    (tmp_path / "m").write_text(text)
    assert load_preferences(tmp_path / "m") == replace(Preferences(), first_run=False)


def test_a_relative_configuration_folder_is_ignored() -> None:
    assert preferences_path({"XDG_CONFIG_HOME": "here"}).is_absolute()


async def test_a_theme_is_chosen_by_key_drawn_everywhere_and_remembered(tmp_path: Path) -> None:
    running, feed, _ = app()
    async with running.run_test(size=(120, 40)) as pilot:
        feed.queue.put_nowait(snapshot())
        await until(lambda: "12:41" in screen_text(running))
        for name in ("light", "terminal", "dark"):
            await pilot.press("t")
            await pilot.pause()
            assert running.theme == name
            assert PALETTES[name][TEXT] in _inks(running, "58,310")
    path = preferences_path({"XDG_CONFIG_HOME": str(tmp_path)})
    save_preferences(path, Preferences.of(OrdersView(), "light"))
    assert load_preferences(path).theme == "light"


async def test_any_other_theme_keeps_the_dark_texts() -> None:
    running, feed, _ = app()
    async with running.run_test(size=(120, 40)) as pilot:
        feed.queue.put_nowait(snapshot())
        await until(lambda: "12:41" in screen_text(running))
        running.theme = "nord"
        await pilot.pause()
        assert PALETTES["dark"][TEXT] in _inks(running, "58,310")


def _inks(running: CoffeeApp, words: str) -> set[str]:
    """Return the colours in which something is written."""
    return {
        segment.style.color.name
        for strip in screen_strips(running)
        for segment in strip
        if words in segment.text and segment.style is not None and segment.style.color is not None
    }
