"""Tells of one part: its run file for everyone else, one line for whoever watches the terminal."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from coffee_core.clock import now_us
from coffee_core.runstate import PartState, State, write_state

Announce = Callable[[str, bool], None]
"""Called with a line and whether it is passing (progress, soon replaced by another)."""

_PROGRESS_EVERY_S = 0.2


class Publisher:
    """The published state of one part."""

    def __init__(self, home: Path, name: str, port: int | None, announce: Announce) -> None:
        self._home = home
        self._announce = announce
        self._said = ""
        self._progress: str | None = None
        self.state = PartState(name, None, port, State.WAITING, wrapper_pid=os.getpid())

    def move(self, state: State, detail: str = "", pid: int | None = None, *, restarted: bool = False) -> None:
        """Publish where the part stands now; what is published already is not written again."""
        changed = replace(
            self.state, state=state, detail=detail, pid=pid, restarts=self.state.restarts + int(restarted)
        )
        if changed == self.state and self.state.since_us:
            return
        since_us = self.state.since_us if changed.state == self.state.state else 0
        self.state = replace(changed, since_us=since_us or now_us())
        write_state(self._home, self.state)

    def say(self, line: str) -> None:
        """Announce a line, unless it was the last one said."""
        if line != self._said:
            self._said = line
            self._announce(line, False)

    def progress(self, loop: asyncio.AbstractEventLoop) -> Callable[[str], None]:
        """Return what hears of progress, from any thread, and publishes it at most five times a second."""

        def hear(text: str) -> None:
            loop.call_soon_threadsafe(self._hear, loop, text)

        return hear

    def _hear(self, loop: asyncio.AbstractEventLoop, text: str) -> None:
        if self._progress is None:
            loop.call_later(_PROGRESS_EVERY_S, self._flush)
            self._show(text)
        self._progress = text

    def _flush(self) -> None:
        text, self._progress = self._progress, None
        if text is not None and text != self.state.detail:
            self._show(text)

    def _show(self, text: str) -> None:
        # Late news of something that has ended, or was given up, changes nothing.
        if self.state.state in (State.WAITING, State.STARTING):
            self.move(self.state.state, text, self.state.pid)
            self._announce(text, True)
