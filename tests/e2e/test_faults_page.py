"""The faults page in a real terminal on the real stack: a verdict, a cancelled freeze, an end under another."""

import sys
from collections.abc import Callable

import psutil
import pytest

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


async def _until(terminal: Terminal, condition: Callable[[], object], within_s: float) -> None:
    try:
        await until(condition, within_s)
    except AssertionError as error:
        raise AssertionError(f"{error}, and on the screen:\n{terminal.text}") from error


@pytest.mark.slow
async def test_a_fault_by_key_its_verdict_and_nothing_left_frozen(small_lab: Lab) -> None:
    small_lab.start()
    terminal = Terminal([sys.executable, "-m", "coffee_tui"], small_lab.env, 140, 50)
    try:
        await _until(terminal, lambda: "live" in terminal.text, 60)
        terminal.type("x")
        await _until(terminal, lambda: "freeze-stream-worker" in terminal.text, 60)
        assert "kill-kafka" not in terminal.text, "only what runs here"
        _choose(terminal, "kill-stream-worker")
        terminal.type("\r")
        await _until(terminal, lambda: "struck" in terminal.text, 120)
        terminal.type(ESCAPE)
        await _until(terminal, lambda: "How late is the dashboard?" in terminal.text, 30)
        await _until(terminal, lambda: "×" in terminal.text, 30)
        terminal.type("x")
        await _until(terminal, lambda: "✓ kill-stream-worker: not one order lost" in terminal.text, 180)

        worker = psutil.Process(small_lab.pid_of("stream-worker"))
        _choose(terminal, "freeze-stream-worker")
        for ending in ("k", "\x03"):
            terminal.type("\r")
            await _until(terminal, lambda: worker.status() == psutil.STATUS_STOPPED, 120)
            terminal.type(ending)
            await _until(terminal, lambda: worker.status() != psutil.STATUS_STOPPED, 30)
            if ending == "k":
                await _until(terminal, lambda: "cancelled" in terminal.text, 60)
        await _until(terminal, lambda: terminal.process.poll() is not None, 60)
        assert terminal.process.returncode == 0
        await _until(terminal, lambda: not [line for line in small_lab.left() if " chaos " in line], 30)
        assert worker.is_running()
        assert small_lab.stop() == 0, small_lab.report()
        await until(lambda: not small_lab.left())
    finally:
        terminal.close()
