"""``coffee up --headless``: all wrappers in one process.

Not honcho's Manager: that forks a process for every line, ends everything when one ends, kills after five seconds
whatever is not done, and knows no SIGHUP. One process with a task a part starts in a tenth of the time and memory.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from enum import Enum
from typing import NoReturn

from backend.stack import locks
from backend.stack.parts import Stack, stack
from backend.stack.places import require_home
from backend.stack.polling import poll
from backend.stack.probes import http_ok
from backend.stack.stop_signal import run_and_leave, stop_at_eof, stop_on_signals, stop_with_launchers
from backend.stack.terminal import Terminal, print_line
from backend.stack.timings import as_json, chart
from backend.stack.wrapper import Wrapper
from coffee_core.errors import CoffeeError
from coffee_core.runstate import State, forget_env, forget_states, read_state
from coffee_core.settings import Settings

_POLL_S = 0.05
_READY_WITHIN_S = 5.0
"""Seconds that the last connections of the API get, once every part is up."""


class Timings(Enum):
    """How the timings of a start are printed once everything is up."""

    CHART = "chart"
    JSON = "json"
    """Alone on standard output: all other lines are on standard error."""


def supervise(settings: Settings, *, until_eof: bool = False, timings: Timings | None = None) -> NoReturn:
    """Run the whole stack until a signal asks it to end, or standard input closes; never returns.

    ``timings`` has printed how long each part took to start, and what it waited for.
    Raises AlreadyRunningError where a stack runs in this home, StackError where it cannot be run here.
    """
    os.umask(0o077)
    terminal = Terminal(sys.stderr if timings is Timings.JSON else None)
    require_home(settings.home)
    here = stack(settings)
    home = here.settings.home
    for name in (locks.SUPERVISOR, *here.parts):
        locks.hold(home, name)
    forget_states(home)
    here.publish()
    run_and_leave(_supervise(here, terminal, until_eof=until_eof, timings=timings))


async def _supervise(here: Stack, terminal: Terminal, *, until_eof: bool, timings: Timings | None) -> int:
    began_s = time.time()
    wrappers = [
        Wrapper(part, here.settings, terminal.announcer(name), here.dependents(name))
        for name, part in here.parts.items()
    ]
    stopping = asyncio.Event()

    def stop() -> None:
        if not stopping.is_set():
            stopping.set()
            terminal.line("coffee", "stopping")
            for wrapper in wrappers:
                wrapper.stop()

    stop_on_signals(stop)
    if until_eof:
        stop_at_eof(stop)
    if here.missing:
        terminal.line("coffee", here.missing)
    if line := here.settings.durability_here.line():
        terminal.line("coffee", line)
    runs = [asyncio.create_task(wrapper.run()) for wrapper in wrappers]
    watchers = [
        asyncio.create_task(stop_with_launchers(stop, with_parent=False)),
        asyncio.create_task(_announce_when_up(here, terminal)),
    ]
    if timings is not None:
        watchers.append(asyncio.create_task(_print_timings(here, wrappers, began_s, timings)))
    # A wrapper that ends before ``stop`` has a fault of its own: then all end, with an error.
    await asyncio.wait(runs, return_when=asyncio.FIRST_COMPLETED)
    stop()
    outcomes = await asyncio.gather(*runs, return_exceptions=True)
    for task in watchers:
        task.cancel()
    faults = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    for fault in faults:
        terminal.line("coffee", f"{type(fault).__name__}: {fault}")
    forget_env(here.settings.home)
    terminal.line("coffee", "everything has stopped")
    return 1 if faults else 0


async def _announce_when_up(here: Stack, terminal: Terminal) -> None:
    await poll(lambda: _all_up(here), _POLL_S)
    # The first order after this line must be taken: the API has connected to each server.
    with suppress(TimeoutError):
        async with asyncio.timeout(_READY_WITHIN_S):
            while not await http_ok(f"{here.settings.local_api_url}/readyz"):  # noqa: ASYNC110
                await asyncio.sleep(_POLL_S)
    terminal.line("coffee", f"all up; orders to {here.settings.api_url}; `coffee-tui` shows them, Ctrl-C ends it")


def _all_up(here: Stack) -> bool:
    states = [read_state(here.settings.home, name) for name in here.parts]
    return all(state is not None and state.state in (State.UP, State.EXTERNAL) for state in states)


async def _print_timings(here: Stack, wrappers: Sequence[Wrapper], began_s: float, timings: Timings) -> None:
    await poll(lambda: _all_up(here), _POLL_S)
    spans = [span for wrapper in wrappers for span in await wrapper.start_spans()]
    if timings is Timings.JSON:
        print_line(json.dumps(as_json(spans, began_s)))
    else:
        for line in chart(spans, began_s):
            print_line(line)


def main() -> None:
    """Run the stack of the environment for as long as standard input stays open."""
    try:
        supervise(Settings.from_env(), until_eof=True)
    except CoffeeError as error:
        sys.exit(f"coffee: {error}")


if __name__ == "__main__":
    main()
