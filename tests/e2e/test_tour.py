"""The talk in a real terminal on the real stack, to its end, unattended: what it breaks is whole afterwards."""

import sys

import pytest

from tests.e2e.lab import Lab
from tests.e2e.terminal import Terminal
from tests.waiting import until


@pytest.mark.slow
async def test_the_talk_runs_to_its_end_by_itself(small_lab: Lab) -> None:
    small_lab.start()
    command = [sys.executable, "-m", "coffee_tui", "--tour", "--auto", "--speed", "8"]
    terminal = Terminal(command, small_lab.env, 100, 30)
    seen: set[str] = set()

    def ended() -> bool:
        seen.update(line.strip() for line in terminal.text.splitlines())
        return terminal.process.poll() is not None

    try:
        await until(ended, 300)
        said = "\n".join(seen)
        assert terminal.process.returncode == 0, said
        for fault in ("kill-stream-worker", "flush-metrics", "replay-v2"):
            assert f"✓ {fault}: not one order lost, duplicated or adrift" in said
        assert "✓ every order that was taken is shown" in said
        assert small_lab.stop() == 0, small_lab.report()
        await until(lambda: not small_lab.left())
    finally:
        terminal.close()
