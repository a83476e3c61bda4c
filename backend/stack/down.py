"""Ends the stack that runs in a home, from outside of it."""

import os
import shutil
import signal
import time
from pathlib import Path

from backend.stack import state
from coffee_core.errors import StackError
from coffee_core.passwords import FOLDER as PASSWORDS

_WITHIN_S = 30.0
_STEP_S = 0.05


def down(home: Path) -> bool:
    """Tell the supervisor, or else every wrapper, to end, and wait until they have; return whether any ran.

    Raises StackError naming the pids that are still there after 30 s.
    """
    running = state.holders(home)
    told = {running[state.SUPERVISOR]} if state.SUPERVISOR in running else set(running.values())
    for pid in told:
        try:
            os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            continue
        except PermissionError as error:
            raise StackError(f"the stack in {home} runs as another user (pid {pid})") from error
    deadline = time.monotonic() + _WITHIN_S
    while left := state.holders(home):
        if time.monotonic() > deadline:
            pids = ", ".join(f"{name} {pid}" for name, pid in left.items())
            raise StackError(f"still running after {_WITHIN_S:g} s: {pids}; `kill -9` ends them")
        time.sleep(_STEP_S)
    return bool(running)


def require_down(home: Path) -> None:
    """Raise AlreadyRunningError where anything runs in this home."""
    if running := state.holders(home):
        pid = running.get(state.SUPERVISOR, next(iter(running.values())))
        raise state.already_running(home, "the stack", pid)


# Deletes the data of a home.


_OURS = ("postgres", "postgres.new", "redis", "kafka", "flink", "locks", "logs", "run", PASSWORDS)
"""What the stack makes there. COFFEE_HOME may be a folder that holds other things too: they are left alone."""


def present(home: Path) -> list[Path]:
    """Return the folders of the stack that are there."""
    return [home / name for name in _OURS if (home / name).is_dir()]


def wipe(home: Path) -> None:
    """Delete them. Raises StackError naming what could not be deleted."""
    for folder in present(home):
        try:
            shutil.rmtree(folder)
        except OSError as error:
            raise StackError(f"cannot delete {folder}: {error.strerror}: {error.filename}") from error
