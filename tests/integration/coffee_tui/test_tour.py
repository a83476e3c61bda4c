"""The talk: by keys and by itself, on a stack of a test's own and on the recording; a picture of each step."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from coffee_core.pipelines.constants import V2
from coffee_tui import tour
from coffee_tui.app import CoffeeApp
from coffee_tui.data import sources
from coffee_tui.data.faults import FaultInfo, FaultVerdict, FaultView, Phase
from coffee_tui.data.snapshot import OrdersView, Snapshot
from coffee_tui.data.sources import Sources
from coffee_tui.widgets.screenshot import self_contained
from tests.integration.coffee_tui import page_scenes, scenes
from tests.integration.coffee_tui.test_pictures import drawn
from tests.unit.coffee_tui.scripted import ALL, NotedOrders, ScriptedFeed, screen_text
from tests.waiting import until

RUNNING = OrdersView(running=True)


class QuickFaults(page_scenes.StagedFaults):
    """Breaks nothing, and finds everything exact, unless it is told otherwise."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._menu += [FaultInfo(name, "it heals") for name in ("flush-metrics", "replay-v3")]
        self.view = FaultView()
        self.asked: list[tuple[str, bool]] = []
        self.exact = True

    async def run(self, name: str, *, no_load: bool = False) -> None:
        self.asked.append((name, no_load))
        verdict = FaultVerdict(V2, self.exact, "accepted 1 · stored 1")
        self.view = FaultView(name, Phase.ENDED, verdicts=(verdict,))


def _one_more(snapshot: Snapshot) -> Snapshot:
    counted = [
        replace(
            view,
            orders=(view.orders or 0) + 1,
            counts=view.counts and replace(view.counts, stored=9, shown=9, in_flight=0),
        )
        for view in snapshot.pipelines
    ]
    return replace(snapshot, pipelines=tuple(counted))


class Stage:
    """An app on the stage of a test, which answers what the talk asks of it."""

    def __init__(self, folder: Path, **how: Any) -> None:
        self.feed, self.orders = ScriptedFeed(), NotedOrders()
        stack = page_scenes.attachment(folder)
        self.faults = QuickFaults(stack)
        stage = Sources(ALL, self.feed, self.orders, attachment=stack, faults=self.faults)
        self.app = CoffeeApp(stage, **how)

    async def answer(self) -> None:
        """Publish the stack; show what is sent, and start and stop the load, as the talk asks for it."""
        self.feed.queue.put_nowait(scenes.healthy())
        await until(lambda: any(isinstance(each, tuple) and each[0] == "order" for each in self.orders.asked))
        self.feed.queue.put_nowait(_one_more(scenes.healthy()))
        await until(lambda: "toggle" in self.orders.asked)
        self.orders.views.put_nowait(RUNNING)
        await until(lambda: self.orders.asked.count("toggle") == 2)
        self.orders.views.put_nowait(OrdersView())


async def test_by_itself_it_does_everything_once_and_ends(tmp_path: Path) -> None:
    stage = Stage(tmp_path, tour=True, auto_speed=10.0)
    async with stage.app.run_test(size=(100, 30)):
        await asyncio.wait_for(stage.answer(), 60)
        await until(lambda: stage.app.return_code == 0)
    asked = [each[0] if isinstance(each, tuple) else each for each in stage.orders.asked]
    assert [each for each in asked if isinstance(each, str)] == ["order", "toggle", "burst", "toggle"]
    assert stage.faults.asked == [(name, True) for name in ("kill-stream-worker", "flush-metrics", "replay-v3")]


async def test_by_keys_it_goes_on_and_back_and_does_nothing_twice(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    async with stage.app.run_test(size=(100, 30)) as pilot:
        stage.feed.queue.put_nowait(scenes.healthy())
        await until(lambda: stage.app.live.is_current)
        await pilot.press("T")
        await until(lambda: "3 ways to take an order" in screen_text(stage.app))
        await pilot.press("right")
        await until(lambda: "on its way: v1, v2, v3" in screen_text(stage.app))
        stage.feed.queue.put_nowait(_one_more(scenes.healthy()))
        await until(lambda: "shown, in this order: v1, v2, v3" in screen_text(stage.app))
        await pilot.press("left")
        await until(lambda: "1/" in screen_text(stage.app))
        await pilot.press("right")
        await until(lambda: "done before" in screen_text(stage.app))
        assert stage.orders.asked.count(("order", *ALL)) == 1
        await pilot.press("escape")
        await until(lambda: "ways to take an order" not in screen_text(stage.app))
        await until(lambda: "Orders" in screen_text(stage.app))


async def _walk(stage: Stage, number: int, pilot: Pilot[Any]) -> None:
    """Begin the talk, and go on by keys to a step."""
    await pilot.press("T")
    await until(lambda: "ways to take an order" in screen_text(stage.app))
    for at in range(1, number + 1):
        await until(lambda at=at: f"{at}/{len(STEPS)} " in screen_text(stage.app))
        if at < number:
            await pilot.press("right")


async def test_what_is_not_exact_is_said(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.faults.exact = False
    async with stage.app.run_test(size=(100, 30)) as pilot:
        await until(lambda: stage.app.live.is_current)
        await _walk(stage, 5, pilot)
        await until(lambda: "NOT EXACT" in screen_text(stage.app))


async def test_what_is_still_ending_is_waited_for(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.faults.view = FaultView("freeze-redis", Phase.OVER)
    async with stage.app.run_test(size=(100, 30)) as pilot:
        await until(lambda: stage.app.live.is_current)
        await _walk(stage, 5, pilot)
        await until(lambda: "freeze-redis is ending first" in screen_text(stage.app))
        assert stage.faults.asked == []
        stage.faults.view = FaultView()
        await until(lambda: "kill-stream-worker: not one order lost" in screen_text(stage.app))


async def test_escape_begins_no_talk_and_ends_one_that_is_about_to_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(tmp_path)
    asked, go = asyncio.Event(), asyncio.Event()

    async def menu() -> list[FaultInfo]:
        asked.set()
        await go.wait()
        return []

    monkeypatch.setattr(stage.faults, "menu", menu)
    async with stage.app.run_test(size=(100, 30)) as pilot:
        await until(lambda: stage.app.live.is_current)
        await pilot.press("escape")
        await pilot.pause()
        assert stage.app.live._tour is None
        await pilot.press("T")
        await asked.wait()
        await pilot.press("escape")
        go.set()
        await until(lambda: stage.app.live._tour is None)
    assert not [each for each in stage.orders.asked if each == ("order", *ALL)]


async def test_of_a_recording_it_shows_the_moments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tour, "whole_menu", page_scenes.whole_menu)
    app = CoffeeApp(sources.demo(speed=20.0), tour=True, auto_speed=20.0)
    seen: set[str] = set()
    async with app.run_test(size=(100, 30)):

        def ended() -> bool:
            seen.update(line.split("  ")[0] for line in screen_text(app).splitlines())
            return app.return_code == 0

        await until(ended)
    assert "✓ not in this recording" not in "".join(seen)


STEPS = ("ways", "order", "load", "burst", "killed", "flushed", "replayed", "verdict")
ROOM = ((100, 30), (160, 48))


@pytest.mark.parametrize("size", ROOM, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("number", range(1, len(STEPS) + 1), ids=STEPS)
def test_picture_of_a_step(
    snap_compare: Callable[..., bool],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    number: int,
    size: tuple[int, int],
) -> None:
    export = CoffeeApp.export_screenshot
    monkeypatch.setattr(CoffeeApp, "export_screenshot", lambda *args, **how: self_contained(export(*args, **how)))
    stage = Stage(tmp_path)
    # Both themes have their turn.
    stage.app.theme = "light" if number % 2 else "dark"
    assert snap_compare(stage.app, terminal_size=size, run_before=partial(_go_to, stage, number))


async def _go_to(stage: Stage, number: int, pilot: Pilot[Any]) -> None:
    stage.feed.queue.put_nowait(scenes.healthy())
    await until(lambda: stage.app.live.snapshot == scenes.healthy())
    await _walk(stage, number, pilot)
    wanted = {
        2: "on its way",
        3: "orders a second into each",
        4: "into each",
        5: "kill-stream-worker: not one order lost",
        6: "flush-metrics: not one order lost",
        7: "replay-v3: not one order lost",
        8: "the last",
    }
    await until(lambda: wanted.get(number, "") in screen_text(stage.app))
    await drawn(stage.app, pilot)
