"""Who runs what in a home: one lock a part and one for the supervisor, which the kernel lifts when they die."""

import fcntl
import os
import time
from pathlib import Path

from coffee_core.errors import StackError
from coffee_core.runstate import read_env, run_dir, write_env
from coffee_core.settings import Settings

SUPERVISOR = "up"
"""The lock of ``coffee up``; every other is named after its part."""

_ATTEMPTS = 10
_STEP_S = 0.02


class AlreadyRunningError(StackError):
    """The stack already runs in this home."""


def hold(home: Path, name: str) -> int:
    """Take a lock for the life of this process and write our pid into it; the descriptor is not inherited.

    Raises AlreadyRunningError where somebody holds it.
    """
    folder = run_dir(home)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(folder / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if not _taken(handle):
        owner = os.read(handle, 32).decode().strip() or "unknown"
        os.close(handle)
        raise already_running(home, "the stack" if name == SUPERVISOR else name, owner)
    os.ftruncate(handle, 0)
    os.pwrite(handle, str(os.getpid()).encode(), 0)
    return handle


def already_running(home: Path, what: str, pid: int | str) -> AlreadyRunningError:
    """Return the error that says what runs there, and what to do about it."""
    return AlreadyRunningError(
        f"{what} already runs in {home} (pid {pid}): `coffee-tui` attaches to it, `coffee down` ends it"
    )


def _taken(handle: int) -> bool:
    # Whoever asks for the holder has the lock for an instant: that alone must not turn us away.
    for _ in range(_ATTEMPTS):
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_STEP_S)
        else:
            return True
    return False


def holder(home: Path, name: str) -> int | None:
    """Return the pid of whoever holds a lock, or None where nobody does."""
    try:
        handle = os.open(run_dir(home) / f"{name}.lock", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.read(handle, 32).decode().strip()
        return int(text) if text.isdecimal() else None
    finally:
        os.close(handle)
    return None


def holders(home: Path) -> dict[str, int]:
    """Return the pid of every holder of a lock in this home, by the name of the lock."""
    found = {path.stem: holder(home, path.stem) for path in sorted(run_dir(home).glob("*.lock"))}
    return {name: pid for name, pid in found.items() if pid is not None}


# What a running stack publishes of itself for whoever attaches.


def publish(settings: Settings) -> None:
    """Publish the addresses and the pipelines; several wrappers may do so at once."""
    values = {**settings.addresses, "COFFEE_PIPELINES": ",".join(settings.pipelines)}
    if read_env(settings.home) != values:
        write_env(settings.home, values)


def forget_states(settings: Settings) -> None:
    """Remove the states that an earlier stack has left, also those of parts that no longer run."""
    for path in run_dir(settings.home).glob("*.json"):
        path.unlink(missing_ok=True)


def forget_addresses(settings: Settings) -> None:
    """Remove the addresses: nothing answers there any more."""
    (run_dir(settings.home) / "env").unlink(missing_ok=True)
