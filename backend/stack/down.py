"""Ends the stack that runs in a home, from outside of it, and deletes its data."""

import os
import shutil
import signal
import time
from pathlib import Path

from backend.stack import locks
from coffee_core.errors import StackError
from coffee_core.passwords import FOLDER as PASSWORDS

_DATA = ("postgres", "postgres.new", "redis", "kafka", "flink", "locks", "logs", "evidence", PASSWORDS, "run")
"""What the stack makes in a home, its locks last. COFFEE_HOME may be a folder that holds other things too: they
are left alone."""
_WITHIN_S = 30.0
_POLL_S = 0.05


def down(home: Path) -> bool:
    """End the supervisor, or else every wrapper, and wait until all have ended; return whether any ran.

    Raises StackError naming the pids that are still there after 30 s.
    """
    running = locks.holders(home)
    addressed = {running[locks.SUPERVISOR]} if locks.SUPERVISOR in running else set(running.values())
    for pid in addressed:
        try:
            os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            continue
        except PermissionError as error:
            raise StackError(f"the stack in {home} runs as another user (pid {pid})") from error
    deadline = time.monotonic() + _WITHIN_S
    while left := locks.holders(home):
        if time.monotonic() > deadline:
            pids = ", ".join(f"{name} {pid}" for name, pid in left.items())
            raise StackError(f"still running after {_WITHIN_S:g} s: {pids}; `kill -9` ends them")
        time.sleep(_POLL_S)
    return bool(running)


def require_down(home: Path) -> None:
    """Raise AlreadyRunningError where anything runs in this home."""
    if running := locks.holders(home):
        pid = running.get(locks.SUPERVISOR, next(iter(running.values())))
        raise locks.already_running(home, "the stack", pid)


def data_folders(home: Path) -> list[Path]:
    """Return the folders of the stack that exist in a home."""
    return [home / name for name in _DATA if (home / name).is_dir()]


def wipe(home: Path) -> None:
    """Delete the folders of the stack in a home; nothing can start there meanwhile.

    Raises AlreadyRunningError where anything runs there, StackError naming what could not be deleted.
    """
    lock = locks.hold(home, locks.SUPERVISOR)
    try:
        # Parts of their own, without a supervisor; what starts from now on finds the lock of ours.
        if running := {name: pid for name, pid in locks.holders(home).items() if pid != os.getpid()}:
            raise locks.already_running(home, "the stack", next(iter(running.values())))
        for folder in data_folders(home):
            try:
                shutil.rmtree(folder)
            except OSError as error:
                raise StackError(f"cannot delete {folder}: {error.strerror}: {error.filename}") from error
    finally:
        os.close(lock)
