"""Breaks what can be mended, for the length of a block; a process of its own stands by to mend it."""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import psutil

from backend.lab.chaos import undo
from backend.lab.chaos.site import NotReadyError


class Guard:
    """A context manager; after its block everything is as it was, also where we are killed in between."""

    def __init__(self) -> None:
        self._noted: list[str] = []

    def __enter__(self) -> Self:
        """Let somebody stand by."""
        # -P: the modules beside it must not hide those of the standard library.
        command = [sys.executable, "-S", "-P", undo.__file__]
        self._by = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True, text=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Undo everything."""
        self.let_go()
        self._by.communicate()

    def stop(self, pid: int) -> None:
        """Stop a process and all it has started (SIGSTOP)."""
        for each in _growing(pid):
            self.note(f"go {each}")
            _signal(each, signal.SIGSTOP)

    def keep_from_growing(self, pid: int) -> None:
        """Let every write of a process and of all it has started to a file fail (RLIMIT_FSIZE).

        Raises NotReadyError where this machine does not allow it.
        """
        for each in _growing(pid):
            try:
                soft, hard = resource.prlimit(each, resource.RLIMIT_FSIZE)
                if soft:
                    self.note(f"grow {each} {soft}")
                    resource.prlimit(each, resource.RLIMIT_FSIZE, (0, hard))
            except ProcessLookupError:
                continue
            except PermissionError as error:
                raise NotReadyError(f"this machine does not let us limit the files of process {each}") from error

    def note(self, line: str) -> None:
        """Tell who stands by how to undo what is done next: there is no moment in which nobody knows of it."""
        assert self._by.stdin is not None
        self._by.stdin.write(f"{line}\n")
        self._by.stdin.flush()
        self._noted.append(line)

    def let_go(self) -> None:
        """Undo what was done so far."""
        # The last one stopped goes on first: a parent finds its children at work.
        while self._noted:
            undo.undo(self._noted.pop())


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Hold a process and all it has started stopped for the length of the block."""
    with Guard() as guard:
        guard.stop(pid)
        yield


def _growing(pid: int) -> Iterator[int]:
    """Yield a process, then its descendants until no further one has come."""
    seen: set[int] = set()
    new = [pid]
    while new:
        yield from new
        seen.update(new)
        new = [each for each in _descendants(pid) if each not in seen]


def _descendants(pid: int) -> list[int]:
    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
