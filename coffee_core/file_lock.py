"""Locks on files, between processes: the kernel releases them when their holder ends, however it ends.

A lock belongs to the descriptor that took it and is released when that is closed; no child inherits it.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def open_lock_file(path: Path) -> int:
    """Open a file to be locked, made where it is missing; return its descriptor. Raises OSError."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def try_lock(handle: int, *, shared: bool = False) -> bool:
    """Take the lock by an open descriptor, or return False where another holds it.

    Only an exclusive lock refuses a ``shared`` one: taking it shows whether there is an exclusive one.
    """
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def lock_file(path: Path) -> int | None:
    """Return the descriptor that holds the lock of a file from now on, None where somebody else holds it.

    Raises OSError where the file cannot be opened.
    """
    handle = open_lock_file(path)
    if try_lock(handle):
        return handle
    os.close(handle)
    return None


@contextmanager
def file_lock(path: Path) -> Iterator[int]:
    """Hold the lock of a file for the length of the block, and wait for it before; the value is the descriptor.

    Raises OSError where the file cannot be opened.
    """
    with locked(open_lock_file(path)) as handle:
        yield handle


@contextmanager
def locked(handle: int) -> Iterator[int]:
    """Hold the lock of an open descriptor for the length of the block, wait for it before; then it is closed."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
    finally:
        os.close(handle)
