"""Ends a daemon of the stack: on a signal, when a pipe closes, when the process that started it has gone."""

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from backend.stack.polling import poll

if TYPE_CHECKING:
    import psutil

_LAUNCHERS = ("uv", "uvx", "honcho")
"""Programs between us and the terminal whose death ends us. They pass no death on: a killed ``uv run`` leaves its
child behind, a killed honcho its children's parents."""
_POLL_S = 0.3
_TASKS_END_WITHIN_S = 1.0
_ASK_AGAIN_S = 60.0
T = TypeVar("T")


def stop_on_signals(stop: Callable[[], None]) -> None:
    """Call ``stop`` on SIGTERM, SIGINT and SIGHUP; a SIGHUP that ``nohup`` has us ignore stays ignored."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop)
    loop.add_signal_handler(signal.SIGINT, stop)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        loop.add_signal_handler(signal.SIGHUP, stop)


async def run_unless_stopped(main: Coroutine[Any, Any, T]) -> T | None:
    """Run a program to its end and return what it returns; None where a signal ended it, in order.

    It is asked once to end and then has all the time that it takes: a second cancellation would meet its clearing
    up. It is asked again after a minute, for ``asyncio.wait_for`` may lose one (CPython issue 86296).
    """
    stop = asyncio.Event()
    stop_on_signals(stop.set)
    stopped, running = asyncio.create_task(stop.wait()), asyncio.create_task(main)
    await asyncio.wait({stopped, running}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if running.done():
        return running.result()
    running.cancel()
    while not (await asyncio.wait({running}, timeout=_ASK_AGAIN_S))[0]:
        running.cancel()
    return None


def stop_at_eof(stop: Callable[[], None]) -> None:
    """Call ``stop`` when standard input, a pipe held open by the process that started us, is closed."""
    loop = asyncio.get_running_loop()

    def read() -> None:
        if not os.read(0, 4_096):
            loop.remove_reader(0)
            stop()

    os.set_blocking(0, False)
    loop.add_reader(0, read)


async def stop_with_launchers(stop: Callable[[], None], *, with_parent: bool) -> None:
    """Call ``stop`` once a launcher has gone, or, where asked, the parent whatever it is."""
    parent = os.getppid()
    await asyncio.sleep(_POLL_S)  # the start comes first: psutil takes a while to load
    launchers = _launchers()
    if not launchers and not with_parent:
        return
    await poll(lambda: os.getppid() != parent or not all(map(_lives, launchers)), _POLL_S)
    stop()


def _launchers() -> "list[psutil.Process]":
    """Return our parent, grandparent and so on for as long as they are launchers."""
    import psutil

    found: list[psutil.Process] = []
    try:
        shells: list[psutil.Process] = []
        for process in psutil.Process().parents():
            words = [word.rpartition("/")[2] for word in process.cmdline()[:3]]
            if any(word in _LAUNCHERS for word in words):
                found += [*shells, process]
                shells = []
            elif words[1:2] == ["-c"]:  # honcho runs a line by `sh -c`: counts where a launcher stands behind it
                shells.append(process)
            else:
                break
    except (psutil.NoSuchProcess, psutil.AccessDenied):  # gone while we looked: our parent's pid will tell
        return found
    return found


def _lives(process: "psutil.Process") -> bool:
    """Tell whether a process still runs; one that waits to be reaped does not."""
    import psutil

    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def run_and_leave(main: Coroutine[Any, Any, int]) -> NoReturn:
    """Run a daemon to its end and leave with the exit code that it returns.

    Threads are not waited for: a download in one cannot be cancelled, and is written to be cut off.
    """
    loop = asyncio.new_event_loop()
    code = loop.run_until_complete(main)
    if tasks := asyncio.all_tasks(loop):
        # What runs in the background has processes of its own to end.
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.wait(tasks, timeout=_TASKS_END_WITHIN_S))
    os._exit(code)
