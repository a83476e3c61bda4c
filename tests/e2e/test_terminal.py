"""`coffee up` in a real terminal: the dashboard is there, takes keys, and nothing is left when it goes."""

import sys

from coffee_core.pipelines.constants import V2
from tests.e2e.lab import Lab
from tests.e2e.terminal import Terminal
from tests.e2e.truth import shown_totals, stored_totals
from tests.waiting import until

UP = [sys.executable, "-m", "backend.cli", "up"]


async def _up(lab: Lab, terminal: Terminal) -> None:
    async def all_up() -> bool:
        assert terminal.process.poll() is None, terminal.text + lab.report()
        parts = lab.status()
        return set(parts) == lab.expected and {part["state"] for part in parts.values()} == {"up"}

    await until(lambda: "v2" in terminal.text, within_s=120)
    await until(all_up, within_s=120)


async def test_an_order_by_key_and_a_clean_end_by_key(small_lab: Lab) -> None:
    # With a token: the dashboard and the command must send it, where a stranger is refused.
    small_lab.env["COFFEE_API_TOKEN"] = "only for friends"
    terminal = Terminal(UP, small_lab.env)
    try:
        await _up(small_lab, terminal)

        async def the_order_is_shown() -> bool:
            return (await shown_totals(small_lab.settings, V2)).orders == 1

        terminal.type("2")
        await until(the_order_is_shown, within_s=120)
        assert (await stored_totals(small_lab.settings, V2)).orders == 1
        sent = small_lab.coffee("order", "v1")
        assert sent.returncode == 0, sent.stderr
        del small_lab.env["COFFEE_API_TOKEN"]
        assert small_lab.coffee("order", "v1").stderr.startswith("401 ")
        terminal.type("q")
        await until(lambda: terminal.process.poll() is not None, within_s=120)
        assert terminal.process.returncode == 0, terminal.text
        await until(lambda: not small_lab.left())
    finally:
        terminal.close()


async def test_control_c_ends_everything(small_lab: Lab) -> None:
    terminal = Terminal(UP, small_lab.env)
    try:
        await _up(small_lab, terminal)
        terminal.type("\x03")
        await until(lambda: terminal.process.poll() is not None, within_s=120)
        await until(lambda: not small_lab.left())
    finally:
        terminal.close()


async def test_a_killed_terminal_leaves_nothing_running(small_lab: Lab) -> None:
    terminal = Terminal(UP, small_lab.env)
    await _up(small_lab, terminal)
    terminal.tear_away()
    await until(lambda: not small_lab.left(), within_s=120)
