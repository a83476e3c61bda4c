"""Ends the stack that runs in a home, from outside of it."""

import os
import signal
import time
from pathlib import Path

from backend.stack import lock
from coffee_core.errors import StackError

_WITHIN_S = 30.0
_STEP_S = 0.05


def down(home: Path) -> bool:
    """Tell the supervisor, or else every wrapper, to end, and wait until they have; return whether any ran.

    Raises StackError naming the pids that are still there after 30 s.
    """
    running = lock.holders(home)
    told = {running[lock.SUPERVISOR]} if lock.SUPERVISOR in running else set(running.values())
    for pid in told:
        try:
            os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            continue
        except PermissionError as error:
            raise StackError(f"the stack in {home} runs as another user (pid {pid})") from error
    deadline = time.monotonic() + _WITHIN_S
    while left := lock.holders(home):
        if time.monotonic() > deadline:
            pids = ", ".join(f"{name} {pid}" for name, pid in left.items())
            raise StackError(f"still running after {_WITHIN_S:g} s: {pids}; `kill -9` ends them")
        time.sleep(_STEP_S)
    return bool(running)


def require_down(home: Path) -> None:
    """Raise AlreadyRunningError where anything runs in this home."""
    if running := lock.holders(home):
        pid = running.get(lock.SUPERVISOR, next(iter(running.values())))
        raise lock.already_running(home, "the stack", pid)
