"""Who runs what in a home: one lock a part and one for the supervisor, which the kernel releases when they die."""

import os
import time
from pathlib import Path

from coffee_core.errors import StackError
from coffee_core.file_lock import open_lock_file, try_lock
from coffee_core.runstate import lock_path, run_dir

SUPERVISOR = "up"
"""The lock of ``coffee up``; every other is named after its part."""

_ATTEMPTS = 10
_RETRY_AFTER_S = 0.02


class AlreadyRunningError(StackError):
    """The stack already runs in this home."""


def hold(home: Path, name: str) -> int:
    """Take a lock for the life of this process and write our pid into it; the descriptor is not inherited.

    Raises AlreadyRunningError where another process holds it, StackError where the file system has no locks.
    """
    folder, path = run_dir(home), lock_path(home, name)
    while True:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = open_lock_file(path)
        try:
            is_ours = _locked(handle)
        except OSError as error:
            words = f"no file can be locked in {folder} ({error.strerror})"
            raise StackError(f"{words}: set COFFEE_HOME to a folder on a local disk") from error
        if not is_ours or _is_at(path, handle):
            break
        os.close(handle)  # deleted while we waited (`coffee reset`): somebody else may hold another one by now
    if not is_ours:
        owner = os.read(handle, 32).decode().strip() or "unknown"
        os.close(handle)
        raise already_running(home, "the stack" if name == SUPERVISOR else name, owner)
    os.ftruncate(handle, 0)
    os.pwrite(handle, str(os.getpid()).encode(), 0)
    return handle


def _is_at(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False


def _locked(handle: int) -> bool:
    # A process that asks for the holder takes the lock for an instant: retry, so that this alone does not fail.
    for _ in range(_ATTEMPTS):
        if try_lock(handle):
            return True
        time.sleep(_RETRY_AFTER_S)
    return False


def already_running(home: Path, what: str, pid: int | str) -> AlreadyRunningError:
    """Return the error that names what runs there, and what to do about it."""
    return AlreadyRunningError(
        f"{what} already runs in {home} (pid {pid}): `coffee-tui` attaches to it, `coffee down` ends it"
    )


def holder(home: Path, name: str) -> int | None:
    """Return the pid of the process that holds a lock, or None where none does."""
    try:
        handle = os.open(lock_path(home, name), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        if try_lock(handle, shared=True):
            return None
        text = os.read(handle, 32).decode().strip()
        return int(text) if text.isdecimal() else None
    finally:
        os.close(handle)


def holders(home: Path) -> dict[str, int]:
    """Return the pid of every holder of a lock in this home, by the name of the lock."""
    found = {path.stem: holder(home, path.stem) for path in sorted(run_dir(home).glob("*.lock"))}
    return {name: pid for name, pid in found.items() if pid is not None}
