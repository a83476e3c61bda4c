"""The page of faults and the command line behind it: nothing goes on where it is not wanted."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from textual.widgets import DataTable

from coffee_core.runstate import PartState, State, write_env, write_state
from coffee_core.settings import Settings
from coffee_tui.app import CoffeeApp
from coffee_tui.data.connection import Attachment
from coffee_tui.data.faults import FaultError, Faults, Phase
from coffee_tui.data.load_plan import LoadPlan
from coffee_tui.data.snapshot import OrdersView
from coffee_tui.data.sources import Sources
from coffee_tui.screens.faults import FaultsScreen
from tests.unit.coffee_tui.scripted import ALL, NotedOrders, ScriptedFeed, app, screen_text, snapshot
from tests.waiting import until, until_sync

BREAKER = Path(__file__).with_name("breaker.py")


@pytest.fixture
def ended(tmp_path: Path) -> Path:
    return tmp_path / "ended"


@pytest.fixture
def faults(tmp_path: Path, ended: Path) -> Faults:
    settings = Settings.from_env({"COFFEE_HOME": str(tmp_path)})
    write_env(tmp_path, {"API_URL": settings.api_url})
    write_state(tmp_path, PartState("postgres", 1, 5432, State.UP, wrapper_pid=os.getpid()))
    return Faults(Attachment.to(settings), (sys.executable, str(BREAKER), str(ended)))


def in_order(ended: Path) -> bool:
    """Tell whether the breaker has been asked to end, and has."""
    return ended.exists() and ended.read_text() == "in order"


async def test_what_is_here_is_listed(faults: Faults) -> None:
    assert [fault.name for fault in await faults.menu()] == ["kill-redis", "network-reset"]


async def test_a_list_that_cannot_be_had_says_why(faults: Faults) -> None:
    with pytest.raises(FaultError, match="cannot be started"):
        await Faults(faults._attachment, ("/does/not/exist",)).menu()
    with pytest.raises(FaultError, match="broken"):
        await Faults(faults._attachment, (sys.executable, "-c", "raise SystemExit('broken')")).menu()


async def test_a_fault_runs_is_cancelled_and_has_ended_in_order(faults: Faults, ended: Path) -> None:
    run = asyncio.create_task(faults.run("kill-redis", no_load=True))
    await until(lambda: faults.view.phase is Phase.STRUCK)
    assert faults.view.progress == "kill-redis: now --lines --no-load"
    assert faults.felt == "kill-redis"
    await faults.run("kill-redis")
    assert faults.view.phase is Phase.STRUCK, "one at a time"
    faults.cancel()
    await run
    assert in_order(ended)
    assert "cancelled" in faults.view.trouble
    assert faults.felt == ""


async def test_another_one_may_begin_as_soon_as_one_has_ended(faults: Faults) -> None:
    first = asyncio.create_task(faults.run("kill-redis"))
    await until(lambda: faults.view.phase is Phase.STRUCK)
    faults.cancel()
    await until(lambda: faults.view.phase is Phase.ENDED)
    second = asyncio.create_task(faults.run("kill-postgres"))
    await first
    await until(lambda: faults.view.phase is Phase.STRUCK)
    assert faults.felt == "kill-postgres", "the end of the first has not reached the second"
    second.cancel()
    await asyncio.wait({second})
    await faults.close()


async def test_a_fault_that_fails_says_why(faults: Faults) -> None:
    await faults.run("broken")
    assert (faults.view.phase, faults.view.trouble) == (Phase.ENDED, "postgres is away")


async def test_the_end_of_the_dashboard_ends_it_in_order(faults: Faults, ended: Path) -> None:
    run = asyncio.create_task(faults.run("kill-redis"))
    await until(lambda: faults.view.phase is Phase.STRUCK)
    run.cancel()
    await asyncio.wait({run})
    await faults.close()
    assert in_order(ended)
    await faults.close()


def test_the_death_of_the_dashboard_ends_it_in_order(faults: Faults, tmp_path: Path, ended: Path) -> None:
    program = (
        "import asyncio, sys\n"
        "from coffee_core.settings import Settings\n"
        "from coffee_tui.data.connection import Attachment\n"
        "from coffee_tui.data.faults import Faults\n"
        "async def main():\n"
        "    faults = Faults(Attachment.to(Settings.from_env()), tuple(sys.argv[1:]))\n"
        "    run = asyncio.create_task(faults.run('kill-redis'))\n"
        "    while not faults.felt: await asyncio.sleep(0.01)\n"
        "    print('struck', flush=True)\n"
        "    await run\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, *faults._command],
        env={**os.environ, "COFFEE_HOME": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
    ) as dashboard:
        assert dashboard.stdout is not None
        assert dashboard.stdout.readline() == "struck\n"
        dashboard.send_signal(signal.SIGKILL)
    until_sync(lambda: in_order(ended))


def _app(faults: Faults) -> tuple[CoffeeApp, ScriptedFeed, NotedOrders]:
    feed, orders = ScriptedFeed(), NotedOrders()
    return CoffeeApp(Sources(ALL, feed, orders, faults=faults)), feed, orders


async def test_the_page_breaks_goes_on_when_left_and_cancels(faults: Faults) -> None:
    running, feed, orders = _app(faults)
    async with running.run_test(size=(120, 40), notifications=True) as pilot:
        await until(lambda: running.live.is_current)
        feed.queue.put_nowait(snapshot(fault="kill-redis", faults=(False,) * 59 + (True,)))
        orders.views.put_nowait(OrdersView(LoadPlan(), running=True))
        await until(lambda: running.live.orders.running)
        await until(lambda: "× kill-redis" in screen_text(running))
        await pilot.press("x")
        await until(lambda: running.screen.query_one(DataTable).row_count == 2)
        assert "it comes back" in screen_text(running)
        assert "nothing broken yet" in screen_text(running)
        await pilot.press("enter")
        await until(lambda: "now --lines --no-load" in screen_text(running), what="the user's load is the load")
        await until(lambda: "   not back yet" in screen_text(running))
        await pilot.press("enter")
        await until(lambda: "is under way" in screen_text(running))
        await pilot.press("escape")
        await until(lambda: running.live.is_current)
        assert faults.view.running
        await pilot.press("x")
        await until(lambda: isinstance(running.screen, FaultsScreen))
        await pilot.press("k")
        await until(lambda: "cancelled: what was broken is whole again" in screen_text(running))


async def test_a_fault_of_the_network_is_on_every_link_or_on_one(faults: Faults) -> None:
    running, _, _ = _app(faults)
    async with running.run_test(size=(120, 40)) as pilot:
        await until(lambda: running.live.is_current)
        await pilot.press("x")
        await until(lambda: isinstance(running.screen, FaultsScreen))
        await until(lambda: running.screen.query_one(DataTable).row_count == 2)
        await pilot.press("down")
        await until(lambda: "on every link (n: another): it comes back" in screen_text(running))
        await pilot.press("n", "n")
        await until(lambda: "on worker:redis (n: another)" in screen_text(running))
        await pilot.press("enter")
        await until(lambda: faults.view.phase is Phase.STRUCK)
        assert faults.view.name == "network-reset worker:redis"
        assert "--link worker:redis" in faults.view.progress
        await pilot.press("n")
        await until(lambda: "on every link" in screen_text(running))
        await pilot.press("k", "up")
        await until(lambda: faults.view.phase is Phase.ENDED)
        await until(lambda: "on every link" not in screen_text(running), what="a part is no link")


async def test_leaving_the_dashboard_under_a_fault_ends_it(faults: Faults, ended: Path) -> None:
    running, _, _ = _app(faults)
    async with running.run_test(size=(120, 40), notifications=True) as pilot:
        await until(lambda: running.live.is_current)
        await pilot.press("x")
        await until(lambda: isinstance(running.screen, FaultsScreen))
        await until(lambda: running.screen.query_one(DataTable).row_count == 2)
        await pilot.press("enter")
        await until(lambda: faults.view.phase is Phase.STRUCK)
        assert "--rate" in faults.view.progress
        await pilot.press("ctrl+c")
    await faults.close()
    assert in_order(ended)


async def test_a_recording_tells_what_each_fault_teaches_and_breaks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    running, _, _ = app()
    async with running.run_test(size=(100, 30), notifications=True) as pilot:
        await until(lambda: running.live.is_current)
        await pilot.press("x")
        await until(lambda: "a recording breaks nothing" in screen_text(running))
        await until(lambda: "kill-postgres" in screen_text(running))
        assert "the fence must refuse it" in running.screen.text()  # type: ignore[attr-defined]
        await pilot.press("enter", "k", "y")
        await until(lambda: "copied, and saved" in screen_text(running))
        assert "freeze-flink-taskmanager" in running.clipboard
        assert "a recording breaks nothing" in running.clipboard
