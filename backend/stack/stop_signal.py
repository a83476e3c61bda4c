"""Ends a daemon of the stack: on a signal, when a pipe closes, when whoever started it has gone."""

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

from backend.stack.polling import poll

_STEP_S = 0.3
_ASIDE_WITHIN_S = 1.0


def stop_on_signals(stop: Callable[[], None]) -> None:
    """Call ``stop`` on SIGTERM, SIGINT and SIGHUP."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, stop)


def stop_at_eof(stop: Callable[[], None]) -> None:
    """Call ``stop`` when standard input, a pipe held open by whoever started us, is closed."""
    loop = asyncio.get_running_loop()

    def look() -> None:
        if not os.read(0, 4_096):
            loop.remove_reader(0)
            stop()

    os.set_blocking(0, False)
    loop.add_reader(0, look)


async def stop_with_launchers(stop: Callable[[], None], *, with_parent: bool) -> None:
    """Call ``stop`` once a launcher has gone, or, where asked, the parent whatever it is."""
    parent = os.getppid()
    await asyncio.sleep(_STEP_S)  # the start comes first: psutil takes a while to load
    from backend.stack.launchers import launchers, lives

    watched = launchers()
    if not watched and not with_parent:
        return
    await poll(lambda: os.getppid() != parent or not all(lives(each) for each in watched), _STEP_S)
    stop()


def run_and_leave(main: Coroutine[Any, Any, int]) -> NoReturn:
    """Run a daemon to its end and leave with the exit code that it returns.

    Threads are not waited for: a download in one cannot be cancelled, and is written to be cut off.
    """
    loop = asyncio.new_event_loop()
    code = loop.run_until_complete(main)
    if aside := asyncio.all_tasks(loop):
        # What runs on the side has processes of its own to end.
        for task in aside:
            task.cancel()
        loop.run_until_complete(asyncio.wait(aside, timeout=_ASIDE_WITHIN_S))
    os._exit(code)
