"""Stops processes and lets them go on, whatever happens to us in between."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from backend.lab.chaos import thaw


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Hold a process and all it has started stopped for the length of the block.

    A process of its own stands by: it lets them go on also where we are killed.
    """
    guard = subprocess.Popen(
        [sys.executable, "-S", thaw.__file__], stdin=subprocess.PIPE, start_new_session=True, text=True
    )
    assert guard.stdin is not None
    stopped: list[int] = []
    try:
        # Told before each is stopped: there is no moment in which nobody knows of it.
        for each in _growing(pid):
            guard.stdin.write(f"{each}\n")
            guard.stdin.flush()
            stopped.append(each)
            _signal(each, signal.SIGSTOP)
        yield
    finally:
        # The last one stopped goes on first: a parent finds its children at work.
        for each in reversed(stopped):
            _signal(each, signal.SIGCONT)
        guard.communicate()


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
