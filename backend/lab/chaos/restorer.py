"""Breaks what can be mended, for the length of a block; a process of its own stands by to mend it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import psutil

from backend.lab.chaos import standby
from backend.lab.chaos.site import NotReadyError
from backend.stack.privileges import dropped
from coffee_core.errors import CoffeeError


class Guard:
    """A context manager; after its block everything is as it was, also where we are killed in between."""

    def __init__(self, account_of: int | None = None) -> None:
        # -P: the modules beside it must not hide those of the standard library.
        self._command: tuple[str, ...] = (sys.executable, "-S", "-P", standby.__file__)
        if account_of is not None:
            # Of the limits of a process even root may change only those of its own account, where it is confined.
            self._command = dropped(self._command, *_account(account_of))

    def __enter__(self) -> Self:
        """Let somebody stand by."""
        self._by = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            text=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Mend everything. Raises CoffeeError where something stays broken."""
        _, wrong = self._by.communicate()
        if self._by.returncode != 0:
            raise CoffeeError(wrong.strip())

    def stop(self, pid: int) -> None:
        """Stop a process and all it has started (SIGSTOP)."""
        for each in _growing(pid):
            self._tell(f"stop {each}")

    def keep_from_writing(self, pid: int) -> None:
        """Let every write of a process and of all it has started to a file fail (RLIMIT_FSIZE).

        Raises NotReadyError where this machine does not allow it.
        """
        for each in _growing(pid):
            self._tell(f"shrink {each}")

    def fill_memory(self, redis_url: str) -> None:
        """Leave a Redis on the loopback without free memory. Raises NotReadyError where it refuses."""
        parts = urlsplit(redis_url)
        assert parts.port is not None, "the URL of the embedded server names its port"
        self._tell(f"fill {parts.port} {parts.password or ''}")

    def mend(self) -> None:
        """Undo what was done so far. Raises CoffeeError where something stays broken."""
        if wrong := self._answer("mend"):
            raise CoffeeError(wrong)

    def _tell(self, line: str) -> None:
        if wrong := self._answer(line):
            raise NotReadyError(f"this cannot be broken here: {wrong}")

    def _answer(self, line: str) -> str:
        assert self._by.stdin is not None
        assert self._by.stdout is not None
        self._by.stdin.write(f"{line}\n")
        self._by.stdin.flush()
        return self._by.stdout.readline().strip()


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Hold a process and all it has started stopped for the length of the block."""
    with Guard() as guard:
        guard.stop(pid)
        yield


def _account(pid: int) -> tuple[int, int]:
    try:
        process = psutil.Process(pid)
        return process.uids().real, process.gids().real
    except psutil.NoSuchProcess:
        return os.geteuid(), os.getegid()


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
