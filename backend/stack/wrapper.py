"""Keeps one part running: waits for what it needs, starts it, starts it again when it dies, ends it in order."""

import asyncio
import os
import time
import traceback
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

from backend.stack import part
from backend.stack.log_files import log_path, open_log, rotate
from backend.stack.part import Announce, Part
from backend.stack.polling import poll
from backend.stack.process import PartProcess
from coffee_core.clock import now_us
from coffee_core.errors import StackError
from coffee_core.runstate import PartState, State, read_state, write_state
from coffee_core.settings import Settings

# How long to wait before a part is started again.


FIRST_S = 0.05
LONGEST_S = 5.0
STEADY_S = 10.0
"""Seconds for which a part must have been up to be taken for healthy again."""


class Backoff:
    """Doubles from 50 ms to 5 s; forgets where the part has been up for a while in between."""

    def __init__(self) -> None:
        self._next_s = FIRST_S
        self._up_since: float | None = None

    def is_up(self) -> None:
        """Note that the part is up now."""
        if self._up_since is None:
            self._up_since = time.monotonic()

    def next_s(self) -> float:
        """Return the seconds to wait after this failure."""
        if self._up_since is not None and time.monotonic() - self._up_since >= STEADY_S:
            self._next_s = FIRST_S
        self._up_since = None
        wait_s, self._next_s = self._next_s, min(self._next_s * 2, LONGEST_S)
        return wait_s


# Tells of one part: its run file for everyone else, one line for whoever watches the terminal.


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


# Asks a running part whether it is ready, and publishes the answer.


_FIRST_STEP_S = 0.03
_LONGEST_STEP_S = 0.2
_WATCH_STEP_S = 1.0
_REFUSALS = 2
"""So many times in a row a part must fail its check to be taken for not ready: a busy machine may miss one."""


async def watch(part: Part, settings: Settings, public: Publisher, pid: int | None, backoff: Backoff) -> None:
    """Publish for ever whether the part is ready; settle it each time it has become so."""
    coming, good = (State.WAITING, State.EXTERNAL) if part.external else (State.STARTING, State.UP)
    began = time.monotonic()
    public.move(coming, "", pid)
    while True:
        await _until_ready(part, public, coming, pid, began)
        await _until_settled(part, public, coming, pid)
        backoff.is_up()
        public.move(good, part.remark(), pid)
        took_s = time.monotonic() - began
        public.say("answers; given by its URL" if part.external else f"up in {took_s:.1f} s")
        await _while_ready(part, settings, lambda: public.move(good, part.remark(), pid))
        began = time.monotonic()
        public.move(coming, "does not answer", pid)
        public.say("does not answer")


async def _until_ready(part: Part, public: Publisher, coming: State, pid: int | None, began: float) -> None:
    step_s = _FIRST_STEP_S
    while not await part.ready():
        if part.external and time.monotonic() - began > _WATCH_STEP_S:
            public.move(coming, "the given server does not answer", pid)
            public.say("the given server does not answer")
        await asyncio.sleep(step_s)
        step_s = min(step_s * 1.2, _LONGEST_STEP_S)


async def _until_settled(part: Part, public: Publisher, coming: State, pid: int | None) -> None:
    backoff = Backoff()
    while True:
        try:
            return await part.settle()
        except StackError as error:
            public.move(coming, str(error), pid)
            public.say(f"{error}; trying again")
            await asyncio.sleep(backoff.next_s())


async def _while_ready(part: Part, settings: Settings, tell: Callable[[], None]) -> None:
    refusals = 0
    while refusals < _REFUSALS:
        await asyncio.sleep(_WATCH_STEP_S)
        rotate(log_path(settings.home, part.name))
        if await part.ready():
            refusals = 0
            tell()
        else:
            refusals += 1


_STEP_S = 0.03
_DEPENDENTS_WITHIN_S = 2.0
_ALIVE = (State.STARTING, State.UP, State.STOPPING)
_USABLE = (State.UP, State.EXTERNAL)


class Wrapper:
    """One part, kept running from ``run`` until ``stop``."""

    def __init__(
        self, part: Part, settings: Settings, announce: Announce, dependents: tuple[str, ...] = ()
    ) -> None:
        self._part = part
        self._settings = settings
        self._dependents = dependents
        self._public = Publisher(settings.home, part.name, part.port, announce)
        self._backoff = Backoff()
        self._process: PartProcess | None = None
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Ask ``run`` to end the part and return."""
        self._stopping.set()

    async def run(self) -> None:
        """Keep the part running until ``stop``; then end it in order."""
        part.listener.set(self._public.progress(asyncio.get_running_loop()))
        self._public.move(State.WAITING)
        try:
            await _first(self._live(), self._stopping.wait())
        finally:
            await self._end()

    async def _live(self) -> None:
        while True:
            try:
                await self._await_needs()
                await self._once()
            except StackError as error:
                reason = str(error)
            except Exception as error:  # noqa: BLE001 - what a part's own functions raise must not end its wrapper
                reason = f"{type(error).__name__}: {error}; see {log_path(self._settings.home, self._part.name)}"
                self._note(traceback.format_exc())
            died = self._process is not None
            await self._discard()
            wait_s = max(self._backoff.next_s(), self._part.pause_s if died else 0.0)
            self._public.move(State.BACKOFF, reason, restarted=died)
            self._public.say(f"{reason}; starting again" if died else f"{reason}; trying again")
            await asyncio.sleep(wait_s)

    async def _await_needs(self) -> None:
        while missing := [name for name in self._part.needs if self._state_of(name) not in _USABLE]:
            self._public.move(State.WAITING, f"for {', '.join(missing)}")
            await asyncio.sleep(_STEP_S)

    async def _once(self) -> None:
        """Live through one process, from its start to its end. Raises StackError saying how it ended."""
        self._public.move(State.STARTING)
        await self._part.prepare()
        if self._part.external:
            await watch(self._part, self._settings, self._public, None, self._backoff)
        self._process = process = await PartProcess.start(self._part, self._settings)
        await _first(process.ended(), watch(self._part, self._settings, self._public, process.pid, self._backoff))

    async def _discard(self) -> None:
        if self._process is not None:
            await self._process.end()
            self._process = None

    async def _end(self) -> None:
        if self._process is not None:
            self._public.move(State.STOPPING, "", self._process.pid)
            await self._await_dependents()
            if not await self._process.end():
                self._public.say(f"did not end within {self._part.stop_within_s:g} s and was killed")
        self._public.move(State.STOPPED)
        self._public.say("stopped")

    async def _await_dependents(self) -> None:
        """Let those who need this part finish what they have in hand: under honcho all are told at once."""
        await poll(
            lambda: not any(self._state_of(name) in _ALIVE for name in self._dependents),
            _STEP_S,
            _DEPENDENTS_WITHIN_S,
        )

    def _state_of(self, name: str) -> State | None:
        state = read_state(self._settings.home, name)
        return state.state if state else None

    def _note(self, text: str) -> None:
        with open_log(log_path(self._settings.home, self._part.name)) as log:
            log.write(text.encode())


async def _first(*coroutines: Coroutine[Any, Any, Any]) -> None:
    """Run them side by side until one has ended, cancel the others, and raise what it raised."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
