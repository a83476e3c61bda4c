"""Breaks what can be mended, for the length of a block; a standby process mends it whatever happens to us."""

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
from backend.pipelines.faults import NotReadyError
from backend.stack.privileges import run_as
from coffee_core.children import child_environ
from coffee_core.errors import CoffeeError


class Restorer:
    """Restores after its block everything that was broken within, also where we are killed in between.

    Use it as a context manager. With ``account_of``, the standby process has the account of that process.
    """

    def __init__(self, account_of: int | None = None) -> None:
        # -P: the modules beside it must not hide those of the standard library.
        self._command: tuple[str, ...] = (sys.executable, "-S", "-P", standby.__file__)
        if account_of is not None:
            # Of the limits of a process even root may change only those of its own account, where it is confined.
            # It mends what is broken also where we are killed.
            self._command = run_as(self._command, *_account(account_of), dies_with_parent=False)

    def __enter__(self) -> Self:
        """Start the standby process."""
        self._standby = subprocess.Popen(
            self._command,
            env=child_environ(),
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
        _, wrong = self._standby.communicate()
        if self._standby.returncode != 0:
            raise CoffeeError(wrong.strip())

    def stop(self, pid: int) -> None:
        """Stop a process and all it has started (SIGSTOP)."""
        for member in growing_family(pid):
            self._run(f"stop {member}")

    def keep_from_writing(self, pid: int) -> None:
        """Let every write of a process and of all it has started to a file fail (RLIMIT_FSIZE).

        Raises NotReadyError where this machine does not allow it.
        """
        for member in growing_family(pid):
            self._run(f"shrink {member}")

    def fill_memory(self, redis_url: str) -> None:
        """Leave a Redis on the loopback without free memory. Raises NotReadyError where it refuses."""
        parts = urlsplit(redis_url)
        assert parts.port is not None, "the URL of the embedded server names its port"
        self._run(f"fill {parts.port} {parts.password or ''}")

    def mend(self) -> None:
        """Undo what was done so far. Raises CoffeeError where something stays broken."""
        if wrong := self._ask("mend"):
            raise CoffeeError(wrong)

    def _run(self, line: str) -> None:
        if wrong := self._ask(line):
            raise NotReadyError(f"this cannot be broken here: {wrong}")

    def _ask(self, line: str) -> str:
        assert self._standby.stdin is not None
        assert self._standby.stdout is not None
        self._standby.stdin.write(f"{line}\n")
        self._standby.stdin.flush()
        return self._standby.stdout.readline().strip()


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Hold a process and all it has started stopped for the length of the block."""
    with Restorer() as restorer:
        restorer.stop(pid)
        yield


def _account(pid: int) -> tuple[int, int]:
    try:
        process = psutil.Process(pid)
        return process.uids().real, process.gids().real
    except psutil.NoSuchProcess:
        return os.geteuid(), os.getegid()


def growing_family(pid: int) -> Iterator[int]:
    """Yield a process, then its descendants until no further one has come."""
    seen: set[int] = set()
    new = [pid]
    while new:
        yield from new
        seen.update(new)
        new = [child for child in _descendants(pid) if child not in seen]


def _descendants(pid: int) -> list[int]:
    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
