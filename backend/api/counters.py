"""Numbers that an API process counts, where every other process behind its port can read them.

Each process maps a file of its own: to count costs no more than in memory, and what was counted outlives it.
"""

import mmap
import os
import time
from collections import defaultdict
from pathlib import Path

from backend.api import counter_files
from backend.api.counter_files import DOUBLE, RECORD, SIZE

NOW = "now "
"""Begins the name of a number that says how it is, not how often: it is true of a living process alone."""


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
            self._memory = bytearray(SIZE)
        else:
            self._handle, self._number = counter_files.take(folder)
            self._memory = mmap.mmap(self._handle, SIZE)
        self.values = memoryview(self._memory).cast("d")
        """What is counted, at the places that ``place`` returns: to be added to, or set."""
        names = [name for name, _ in counter_files.records(self._memory)]
        self._places = {name: at * RECORD // DOUBLE for at, name in enumerate(names)}
        for name, place in self._places.items():
            if name.startswith(NOW):  # of a process that has died
                self.values[place] = 0.0
        self.values[self.place(NOW + "pid")] = os.getpid()
        self.values[self.place(NOW + "started")] = time.time()

    def place(self, name: str) -> int:
        """Return where in ``values`` a number is; one that is new is 0."""
        place = self._places.get(name)
        if place is None:
            place = self._places[name] = len(self._places) * RECORD // DOUBLE
            begin, length = (place + 1) * DOUBLE, RECORD - DOUBLE
            # In one piece: who reads meanwhile finds the whole name or none.
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
        """Count no more, and let another process have the file."""
        self.values.release()
        if isinstance(self._memory, mmap.mmap):
            self._memory.close()
            os.close(self._handle)

    def _all(self) -> dict[int, tuple[dict[str, float], bool]]:
        found = {}
        for path in self._folder.glob("*.counts") if self._folder else ():
            if (number := int(path.stem)) != self._number:
                found[number] = counter_files.read(path)
        found[self._number] = dict(counter_files.records(self._memory)), True
        return found
