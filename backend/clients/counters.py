"""Numbers that an API process counts, where every other process behind its port can read them.

Each process maps a file of its own: counting costs no more than in memory, and the numbers outlive the process. A
new process goes on with the file of one that has died. So no total falls while one of them lives, nothing is
counted twice, and there are only as many files as there were ever processes at once.
"""

import itertools
import mmap
import os
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from coffee_core.file_lock import file_lock, lock_file, try_lock

NOW = "now "
"""Prefix of the name of a gauge (a state, not a count): valid only while its process lives."""
_DOUBLE = 8
_RECORD = 128
"""Bytes of a number: a double, then its name in UTF-8, filled up with NUL."""
_SIZE = 4_096 * _RECORD
"""Bytes of a file: twice as many numbers as routes, methods, statuses and buckets can make."""


class Counters:
    """The numbers of this process, by name, and those of its neighbours."""

    def __init__(self, folder: Path | None = None) -> None:
        """``folder`` is that of all processes behind the port; None: there is only this one, and no file.

        Raises OSError where nothing can be written there.
        """
        self._folder = folder
        self._number, self._handle = 0, -1
        self._memory: bytearray | mmap.mmap
        if folder is None:
            self._memory = bytearray(_SIZE)
        else:
            self._handle, self._number = _claim_file(folder)
            self._memory = mmap.mmap(self._handle, _SIZE)
        self.values = memoryview(self._memory).cast("d")
        """The numbers, at the indexes that ``place`` returns: add to them, or set them."""
        names = [name for name, _ in _records(self._memory)]
        self._places = {name: at * _RECORD // _DOUBLE for at, name in enumerate(names)}
        for name, place in self._places.items():
            if name.startswith(NOW):  # of a process that has died
                self.values[place] = 0.0
        self.values[self.place(NOW + "pid")] = os.getpid()
        self.values[self.place(NOW + "started")] = time.time()

    def place(self, name: str) -> int:
        """Return the index of a number in ``values``; a new one is 0."""
        place = self._places.get(name)
        if place is None:
            place = self._places[name] = len(self._places) * _RECORD // _DOUBLE
            begin, length = (place + 1) * _DOUBLE, _RECORD - _DOUBLE
            # In one piece: a concurrent reader finds the whole name or none.
            self._memory[begin : begin + length] = name.encode().ljust(length, b"\0")
        return place

    def totals(self) -> dict[str, float]:
        """Return every number but those of ``NOW``, added up over the processes, also those that have died."""
        found: defaultdict[str, float] = defaultdict(float)
        for numbers, _ in self._all().values():
            for name, value in numbers.items():
                if not name.startswith(NOW):
                    found[name] += value
        return found

    def living(self) -> dict[int, dict[str, float]]:
        """Return the numbers of ``NOW``, without that word, of each process that lives, by its number from 0."""
        return {
            number: {name.removeprefix(NOW): value for name, value in numbers.items() if name.startswith(NOW)}
            for number, (numbers, lives) in sorted(self._all().items())
            if lives
        }

    def close(self) -> None:
        """Stop counting, and release the file for another process."""
        self.values.release()
        if isinstance(self._memory, mmap.mmap):
            self._memory.close()
            os.close(self._handle)

    def _all(self) -> dict[int, tuple[dict[str, float], bool]]:
        found = {}
        for path in self._folder.glob("*.counts") if self._folder else ():
            if (number := int(path.stem)) != self._number:
                found[number] = _read(path)
        found[self._number] = dict(_records(self._memory)), True
        return found


def _claim_file(folder: Path) -> tuple[int, int]:
    """Return the descriptor and the number of the first file that no process has; it is ours from now on.

    Raises OSError where nothing can be written there.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with file_lock(folder / "lock"):  # one process at a time looks for its file
        number, handle = next(
            (number, handle)
            for number in itertools.count()
            if (handle := lock_file(folder / f"{number}.counts")) is not None
        )
        path = folder / f"{number}.counts"
        others = [other for other in folder.glob("*.counts") if other != path]
        if not any(lives for _, lives in map(_read, others)):
            # All of them have ended: counting begins anew, as it does for a process alone.
            for other in others:
                other.unlink()
            os.ftruncate(handle, 0)
        if os.fstat(handle).st_size < _SIZE:
            # Written, not only made longer: a full disk is an error now, not a signal (SIGBUS) later.
            os.pwrite(handle, bytes(_SIZE), 0)
    return handle, number


def _read(path: Path) -> tuple[dict[str, float], bool]:
    """Return the numbers of a file and whether its process lives."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        lives = not try_lock(handle, shared=True)
        if os.fstat(handle).st_size < _SIZE:  # it is just being made
            return {}, lives
        with mmap.mmap(handle, _SIZE, access=mmap.ACCESS_READ) as memory:
            return dict(_records(memory)), lives
    finally:
        os.close(handle)


def _records(memory: bytearray | mmap.mmap) -> Iterator[tuple[str, float]]:
    """Yield the name and the value of each number, in the order in which they came."""
    with memoryview(memory) as whole, whole.cast("d") as values:
        for at in range(0, _SIZE, _RECORD):
            name = bytes(whole[at + _DOUBLE : at + _RECORD]).rstrip(b"\0")
            if not name:
                return
            yield name.decode(), values[at // _DOUBLE]
