"""Lets a child process end with its parent, however the parent ends: Linux' parent-death signal."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable
from functools import partial

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform.startswith("linux") else None


def dies_with_parent(death_signal: int = signal.SIGKILL, niceness: int = 0) -> Callable[[], None]:
    """Return a ``preexec_fn`` by which a child process gets this signal when we die. Elsewhere it does nothing.

    The kernel watches the *thread* that starts the child: start it from the main thread, or from one that outlives
    it. A program that changes its uid loses the signal and must ask for it again. ``niceness`` (0 to 19) is
    added to its own.
    """
    return partial(_set_death_signal, os.getpid(), death_signal, niceness)


def die_with(parent: int, death_signal: int = signal.SIGTERM) -> None:
    """Ask for the signal when the process that has started us ends; where it is gone already, we end at once."""
    _set_death_signal(parent, death_signal, 0)


def _set_death_signal(parent: int, death_signal: int, niceness: int) -> None:
    if niceness:
        os.nice(niceness)
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
        # We may have died before the system call was made.
        if os.getppid() != parent:
            os._exit(1)
