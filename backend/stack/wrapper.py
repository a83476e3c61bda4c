"""Keeps one part running: waits for what it needs, starts it, starts it again when it dies, ends it in order."""

import asyncio
import traceback
from collections.abc import Coroutine
from typing import Any

from backend.stack import progress
from backend.stack.backoff import Backoff
from backend.stack.logs import log_path, open_log
from backend.stack.part import Part
from backend.stack.polling import poll
from backend.stack.process import PartProcess
from backend.stack.publisher import Announce, Publisher
from backend.stack.watch import watch
from coffee_core.errors import StackError
from coffee_core.runstate import State, read_state
from coffee_core.settings import Settings

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
        progress.listener.set(self._public.progress(asyncio.get_running_loop()))
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
