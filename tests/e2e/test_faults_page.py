"""The faults page in a real terminal on the real stack: a verdict, a cancelled freeze, an end under another."""

import sys

import psutil

from tests.e2e.lab import Lab
from tests.e2e.terminal import Terminal
from tests.waiting import until

DOWN = "\x1b[B"
ESCAPE = "\x1b"


def _choose(terminal: Terminal, fault: str) -> None:
    """Move the cursor of the menu from its first row to a fault."""
    words = [line.split() for line in terminal.text.splitlines()]
    menu = [line[0] for line in words if line and "-" in line[0]]
    terminal.type(DOWN * menu.index(fault))


async def test_a_fault_by_key_its_verdict_and_nothing_left_frozen(small_lab: Lab) -> None:
    small_lab.start()
    terminal = Terminal([sys.executable, "-m", "coffee_tui"], small_lab.env, 140, 50)
    try:
        await until(lambda: "live" in terminal.text, within_s=60)
        terminal.type("x")
        await until(lambda: "freeze-stream-worker" in terminal.text, within_s=60)
        assert "kill-kafka" not in terminal.text, "only what runs here"
        _choose(terminal, "kill-stream-worker")
        terminal.type("\r")
        await until(lambda: "struck" in terminal.text, within_s=120)
        terminal.type(ESCAPE)
        await until(lambda: "How late is the dashboard?" in terminal.text, within_s=30)
        await until(lambda: "×" in terminal.text, within_s=30, what="its time is marked")
        terminal.type("x")
        await until(lambda: "✓ kill-stream-worker: not one order lost" in terminal.text, within_s=180)

        worker = psutil.Process(await small_lab.pid_of("stream-worker"))
        _choose(terminal, "freeze-stream-worker")
        for ending in ("k", "\x03"):
            terminal.type("\r")
            await until(lambda: worker.status() == psutil.STATUS_STOPPED, within_s=120)
            terminal.type(ending)
            await until(lambda: worker.status() != psutil.STATUS_STOPPED, within_s=30)
            if ending == "k":
                await until(lambda: "cancelled" in terminal.text, within_s=60)
        await until(lambda: terminal.process.poll() is not None, within_s=60)
        assert terminal.process.returncode == 0
        await until(lambda: not [line for line in small_lab.left() if " chaos " in line], within_s=30)
        assert worker.is_running()
        assert small_lab.stop() == 0, small_lab.report()
        await until(lambda: not small_lab.left())
    finally:
        terminal.close()
