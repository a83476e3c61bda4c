"""What is printed while servers are kept running never waits for whoever reads it."""

import contextlib
import os

from backend.stack.terminal import Terminal

_ALL = 1 << 20


def test_lines_that_nobody_takes_are_left_out_and_said_afterwards() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb", buffering=0) as reader, os.fdopen(writing, "w", encoding="utf-8") as stream:
        terminal = Terminal(stream)
        terminal.line("redis", "up")
        os.set_blocking(writing, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writing, b"x" * 4_096)
        os.set_blocking(writing, True)
        for _ in range(3):
            terminal.line("redis", "restarted")
        assert b"restarted" not in reader.read(_ALL)
        terminal.line("redis", "up again")
        said = reader.read(_ALL).decode()
    assert said.startswith("3 lines are left out here")
    assert said.rstrip().endswith("up again")
