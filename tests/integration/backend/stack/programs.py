"""Tiny programs to keep running, and a wrapper around them."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from backend.stack.part import Part
from backend.stack.wrapper import Wrapper
from coffee_core.runstate import PartState, State, read_state
from coffee_core.settings import Settings
from tests.waiting import until

NAME = "part"
SLEEPER = "import signal; print('runs', flush=True); signal.pause()"


async def yes() -> bool:
    return True


def program(code: str, **more: Any) -> Part:
    """Return a part that runs this Python code."""
    return Part(NAME, (sys.executable, "-I", "-S", "-c", code), **{"ready": yes, **more})


class Kept:
    """A running wrapper and the lines that it has announced."""

    def __init__(self, home: Path, part: Part, dependents: tuple[str, ...] = (), **ports: int) -> None:
        self.home = home
        self.lines: list[str] = []
        self.passing: list[str] = []
        settings = Settings(home=home, **ports)
        self.wrapper = Wrapper(part, settings, self._hear, dependents)
        self.task = asyncio.create_task(self.wrapper.run())

    def _hear(self, line: str, passing: bool) -> None:
        (self.passing if passing else self.lines).append(line)

    @property
    def state(self) -> PartState:
        state = read_state(self.home, NAME)
        assert state is not None
        return state

    async def reaches(self, state: State, within_s: float = 5.0) -> PartState:
        def reached() -> PartState | None:
            found = read_state(self.home, NAME)
            return found if found and found.state is state else None

        return await until(reached, within_s, f"{state}; it announced {self.lines}")

    async def stop(self) -> None:
        self.wrapper.stop()
        await asyncio.wait_for(self.task, 10)


@contextlib.asynccontextmanager
async def kept(home: Path, part: Part, dependents: tuple[str, ...] = (), **ports: int) -> AsyncIterator[Kept]:
    """Keep a part running for the length of the block."""
    run = Kept(home, part, dependents, **ports)
    await until(lambda: read_state(home, NAME))
    try:
        yield run
    finally:
        await run.stop()
