"""Keeps one part running: waits for what it needs, starts it, starts it again when it dies, ends it in order."""

import asyncio
import os
import re
import time
import traceback
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

from backend.stack.log_files import log_path, open_log, rotate
from backend.stack.part import Announce, Part, progress_listener
from backend.stack.polling import poll
from backend.stack.process import KilledError, PartProcess
from backend.stack.timings import PartTimer, Phase, Span
from coffee_core.backoff import Backoff
from coffee_core.clock import now_us
from coffee_core.errors import StackError
from coffee_core.runstate import PartState, State, read_state, write_state
from coffee_core.settings import Settings
from coffee_core.tasks import end_tasks

FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 5.0
"""Pauses before a part is started again double from the first to the longest."""
SAME_FAILURES = 3
"""Deaths in a row, all for one reason, after which it is taken for lasting: the pauses then double from
``LONGEST_PAUSE_S`` to ``LONGEST_SAME_PAUSE_S``, for a start of a JVM takes a core for seconds."""
LONGEST_SAME_PAUSE_S = 30.0
STEADY_S = 10.0
"""Seconds for which a part must have been up before its backoff starts from the first pause again."""

_NEEDS_POLL_S = 0.03
_DEPENDENTS_WITHIN_S = 2.0
_FIRST_PROBE_S = 0.03
_LONGEST_PROBE_S = 0.2
"""Seconds between two probes of a part that is starting: growing from the first to the longest."""
_WATCH_EVERY_S = 1.0
"""Seconds between two probes of a part that is up."""
_FAILED_PROBES = 2
"""Failed probes in a row after which a part is not ready: a busy machine may miss one."""
_PROGRESS_EVERY_S = 0.2
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
        self._publisher = Publisher(settings.home, part.name, part.port, announce)
        self._timer = PartTimer(part.name)
        self._backoff = RestartBackoff()
        self._last_failure = ""
        self._process: PartProcess | None = None
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Ask ``run`` to end the part and return."""
        self._stopping.set()

    async def start_spans(self) -> list[Span]:
        """Return the phases of the first start, and those of what happened inside the part meanwhile."""
        spans = self._timer.spans
        return [*spans, *(await self._part.inside(spans[-1]) if spans else ())]

    async def run(self) -> None:
        """Keep the part running until ``stop``; then end it in order."""
        progress_listener.set(self._publisher.progress_listener(asyncio.get_running_loop()))
        self._publisher.move(State.WAITING)
        try:
            await _run_until_first(self._keep_running(), self._stopping.wait())
        finally:
            await self._end()

    async def _keep_running(self) -> None:
        while True:
            try:
                await self._await_needs()
                await self._run_once()
            except StackError as error:
                reason = str(error)
                killed = isinstance(error, KilledError)
            except OSError as error:
                killed = False
                reason = ": ".join(filter(None, (error.strerror or str(error), error.filename)))
            except Exception as error:  # noqa: BLE001 - what a part's own functions raise must not end its wrapper
                killed = False
                reason = f"{type(error).__name__}: {error}; see {log_path(self._settings.home, self._part.name)}"
                self._log(traceback.format_exc())
            died = self._process is not None
            await self._discard()
            same = self._backoff.note_failure(reason if died and not killed else "")
            wait_s = max(self._backoff.next_s(), self._part.pause_s if died else 0.0)
            self._last_failure = f"{reason} (the same {same} times)" if same >= SAME_FAILURES else reason
            self._publisher.move(State.BACKOFF, self._last_failure, restarted=died)
            self._publisher.announce(f"{reason}; {_what_next(same, died=died)}")
            await asyncio.sleep(wait_s)

    async def _await_needs(self) -> None:
        while missing := [name for name in self._part.needs if self._state_of(name) not in _USABLE]:
            self._publisher.move(State.WAITING, f"for {', '.join(missing)}")
            self._timer.begin(Phase.WAITS, f"for {', '.join(missing)}")
            await asyncio.sleep(_NEEDS_POLL_S)

    async def _run_once(self) -> None:
        """Run one process from its start to its end. Raises StackError with how it ended."""
        self._publisher.move(State.STARTING, self._last_failure and f"after: {self._last_failure}")
        self._timer.begin(Phase.PREPARES)
        await self._part.prepare()
        self._timer.begin(Phase.STARTS)
        if self._part.external:
            await self._watch(None)
        self._process = process = await PartProcess.start(self._part, self._settings)
        await _run_until_first(process.ended(), self._watch(process.pid))

    async def _watch(self, pid: int | None) -> None:
        """Publish for ever whether the part is ready; settle it whenever it has become ready."""
        part, publisher = self._part, self._publisher
        pending, usable = (State.WAITING, State.EXTERNAL) if part.external else (State.STARTING, State.UP)
        began = time.monotonic()
        publisher.move(pending, self._last_failure and f"after: {self._last_failure}", pid)
        while True:
            await self._wait_until_ready(pending, pid, began)
            self._timer.begin(Phase.SETTLES)
            await self._wait_until_settled(pending, pid)
            self._timer.up()
            self._backoff.note_up()
            self._last_failure = ""
            publisher.move(usable, part.remark(), pid)
            took_s = time.monotonic() - began
            publisher.announce("answers; given by its URL" if part.external else f"up in {took_s:.1f} s")
            await self._wait_until_not_ready(usable, pid)
            began = time.monotonic()
            publisher.move(pending, "does not answer", pid)
            publisher.announce("does not answer")

    async def _wait_until_ready(self, pending: State, pid: int | None, began: float) -> None:
        pause_s = _FIRST_PROBE_S
        before = self._publisher.state.detail
        while not await self._part.ready():
            trouble = self._part.trouble()
            if not self._part.external:
                self._publisher.move(pending, trouble or before, pid)
            if trouble:
                self._publisher.announce(trouble)
            if self._part.external and time.monotonic() - began > _WATCH_EVERY_S:
                variable = self._part.given.partition(" ")[0]
                reason = f"{self._part.given}, which does not answer: unset {variable} to use the embedded server"
                self._publisher.move(pending, reason, pid)
                self._publisher.announce(reason)
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 1.2, _LONGEST_PROBE_S)

    async def _wait_until_settled(self, pending: State, pid: int | None) -> None:
        backoff = Backoff(FIRST_PAUSE_S, LONGEST_PAUSE_S)
        while True:
            try:
                return await self._part.settle()
            except (StackError, OSError) as error:
                self._publisher.move(pending, str(error), pid)
                self._publisher.announce(f"{error}; trying again")
                await asyncio.sleep(backoff.next_s())

    async def _wait_until_not_ready(self, usable: State, pid: int | None) -> None:
        failed = 0
        while failed < _FAILED_PROBES:
            await asyncio.sleep(_WATCH_EVERY_S)
            rotate(log_path(self._settings.home, self._part.name))
            if await self._part.ready():
                failed = 0
                self._publisher.move(usable, self._part.remark(), pid)
            else:
                failed += 1

    async def _discard(self) -> None:
        if self._process is not None:
            await self._process.end()
            self._process = None

    async def _end(self) -> None:
        if self._process is not None:
            self._publisher.move(State.STOPPING, "", self._process.pid)
            await self._await_dependents()
            if not await self._process.end():
                self._publisher.announce(f"did not end within {self._part.stop_within_s:g} s and was killed")
        self._publisher.move(State.STOPPED)
        self._publisher.announce("stopped")

    async def _await_dependents(self) -> None:
        """Let the parts that need this one finish what they have in hand: honcho ends all at once."""
        await poll(
            lambda: not any(self._state_of(name) in _ALIVE for name in self._dependents),
            _NEEDS_POLL_S,
            _DEPENDENTS_WITHIN_S,
        )

    def _state_of(self, name: str) -> State | None:
        state = read_state(self._settings.home, name)
        return state.state if state else None

    def _log(self, text: str) -> None:
        try:
            with open_log(log_path(self._settings.home, self._part.name)) as log:
                log.write(text.encode())
        except OSError as error:  # on a full disk, say: the reason itself is announced
            self._publisher.announce(f"the log cannot be written: {error.strerror or error}")


def _what_next(same: int, *, died: bool) -> str:
    if same < SAME_FAILURES:
        return "starting again" if died else "trying again"
    return f"the same {SAME_FAILURES} times: starting again every {LONGEST_SAME_PAUSE_S:g} s until that is mended"


_NUMBER = re.compile(r"\d+")


class RestartBackoff:
    """The pauses before a part is started again: they begin anew where it has been up for a while in between.

    They are longer where it has died again and again for one reason.
    """

    def __init__(self) -> None:
        self._backoff = Backoff(FIRST_PAUSE_S, LONGEST_PAUSE_S)
        self._patient = Backoff(LONGEST_PAUSE_S, LONGEST_SAME_PAUSE_S)
        self._up_since: float | None = None
        self._reason = ""
        self._same = 0

    def note_failure(self, reason: str) -> int:
        """Note why it has ended; return how often in a row that was the reason. An empty one is no reason.

        Numbers in it do not matter: a pid is another one each time.
        """
        self._begin_anew_after_steady_time()
        reason = _NUMBER.sub("0", reason)
        self._same = self._same + 1 if reason and reason == self._reason else int(bool(reason))
        self._reason = reason
        if self._same < SAME_FAILURES:
            self._patient.reset()
        return self._same

    def note_up(self) -> None:
        """Note that the part is up now."""
        if self._up_since is None:
            self._up_since = time.monotonic()

    def next_s(self) -> float:
        """Return the seconds to wait after this failure."""
        self._begin_anew_after_steady_time()
        self._up_since = None
        return (self._backoff if self._same < SAME_FAILURES else self._patient).next_s()

    def _begin_anew_after_steady_time(self) -> None:
        if self._up_since is not None and time.monotonic() - self._up_since >= STEADY_S:
            self._backoff.reset()
            self._same = 0


class Publisher:
    """Publishes where one part stands: a run file for everyone else, a line for whoever watches the terminal."""

    def __init__(self, home: Path, name: str, port: int | None, announce: Announce) -> None:
        self._home = home
        self._announce = announce
        self._announced = ""
        self._progress: str | None = None
        self._written = True
        self.state = PartState(name, None, port, State.WAITING, wrapper_pid=os.getpid())

    def move(self, state: State, detail: str = "", pid: int | None = None, *, restarted: bool = False) -> None:
        """Publish where the part stands now; what is published already is not written again."""
        changed = replace(
            self.state, state=state, detail=detail, pid=pid, restarts=self.state.restarts + int(restarted)
        )
        if changed == self.state and self.state.since_us and self._written:
            return
        since_us = self.state.since_us if changed.state == self.state.state else 0
        self.state = replace(changed, since_us=since_us or now_us())
        try:
            write_state(self._home, self.state)
            self._written = True
        except OSError as error:
            # A full disk ends no part: its state is told here, and published once there is room.
            if self._written:
                self.announce(f"its state cannot be written: {error.strerror or error}")
            self._written = False

    def announce(self, line: str) -> None:
        """Announce a line, unless it was the last one."""
        if line != self._announced:
            self._announced = line
            self._announce(line, False)

    def progress_listener(self, loop: asyncio.AbstractEventLoop) -> Callable[[str], None]:
        """Return a thread-safe callback that publishes progress, at most five times a second."""

        def listen(text: str) -> None:
            loop.call_soon_threadsafe(self._take_progress, loop, text)

        return listen

    def _take_progress(self, loop: asyncio.AbstractEventLoop, text: str) -> None:
        if self._progress is None:
            loop.call_later(_PROGRESS_EVERY_S, self._flush_progress)
            self._show_progress(text)
        self._progress = text

    def _flush_progress(self) -> None:
        text, self._progress = self._progress, None
        if text is not None and text != self.state.detail:
            self._show_progress(text)

    def _show_progress(self, text: str) -> None:
        # Late news of something that has ended, or was given up, changes nothing.
        if self.state.state in (State.WAITING, State.STARTING):
            self.move(self.state.state, text, self.state.pid)
            self._announce(text, True)


async def _run_until_first(*coroutines: Coroutine[Any, Any, Any]) -> None:
    """Run these concurrently until one has ended, cancel the others, and raise what it raised."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        await end_tasks(*tasks)
