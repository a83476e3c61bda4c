"""The files of ``Counters``: how one looks, which one a process takes, and whether its process lives.

Who starts goes on in the file of a process that has died. So no total falls while one of them lives, nothing is
counted twice, and there are only as many files as there were ever processes at once.
"""

import fcntl
import itertools
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DOUBLE = 8
RECORD = 128
"""Bytes of a number: a double, then its name in UTF-8, filled up with NUL."""
SIZE = 4_096 * RECORD
"""Bytes of a file: twice as many numbers as routes, methods, statuses and buckets can make."""


def take(folder: Path) -> tuple[int, int]:
    """Return the descriptor and the number of the first file that no process has; it is ours from now on.

    Raises OSError where nothing can be written there.
    """
    with _starting(folder):
        for number in itertools.count():
            path = folder / f"{number}.counts"
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            if not _is_taken(handle, fcntl.LOCK_EX):
                break
            os.close(handle)
        others = [each for each in folder.glob("*.counts") if each != path]
        if not any(lives for _, lives in map(read, others)):
            # All of them have ended: counting begins anew, as it does for a process alone.
            for each in others:
                each.unlink()
            os.ftruncate(handle, 0)
        if os.fstat(handle).st_size < SIZE:
            # Written, not only made longer: where the disk is full that is said now, not by a signal later.
            os.pwrite(handle, bytes(SIZE), 0)
    return handle, number


def read(path: Path) -> tuple[dict[str, float], bool]:
    """Return the numbers of a file and whether its process lives."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        lives = _is_taken(handle, fcntl.LOCK_SH)
        if os.fstat(handle).st_size < SIZE:  # it is just being made
            return {}, lives
        with mmap.mmap(handle, SIZE, access=mmap.ACCESS_READ) as memory:
            return dict(records(memory)), lives
    finally:
        os.close(handle)


def records(memory: bytearray | mmap.mmap) -> Iterator[tuple[str, float]]:
    """Yield the name and the value of each number, in the order in which they came."""
    with memoryview(memory) as whole, whole.cast("d") as values:
        for at in range(0, SIZE, RECORD):
            name = bytes(whole[at + DOUBLE : at + RECORD]).rstrip(b"\0")
            if not name:
                return
            yield name.decode(), values[at // DOUBLE]


@contextmanager
def _starting(folder: Path) -> Iterator[None]:
    """Let one process at a time look for its file."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _is_taken(handle: int, lock: int) -> bool:
    try:
        fcntl.flock(handle, lock | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False
