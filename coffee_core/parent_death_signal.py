"""Ties a child process to us, so that it cannot outlive us, however we end (on Linux)."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable
from functools import partial

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform.startswith("linux") else None


def tied(death_signal: int = signal.SIGKILL, niceness: int = 0) -> Callable[[], None]:
    """Return what a child must run before its program (``preexec_fn``), so that it gets this signal when we die.

    The kernel watches the *thread* that starts the child: start it from the main thread, or from one that outlives
    it. A program that changes its account loses the tie and must ask for it again. ``niceness`` lowers its claim
    to the processor, 0 to 19.
    """
    return partial(_tie, os.getpid(), death_signal, niceness)


def tie_to(parent: int, death_signal: int = signal.SIGTERM) -> None:
    """Tie ourselves to the process that has started us: where it is gone already, we end at once."""
    _tie(parent, death_signal, 0)


def _tie(parent: int, death_signal: int, niceness: int) -> None:
    if niceness:
        os.nice(niceness)
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
        # We may have died before the system call was made.
        if os.getppid() != parent:
            os._exit(1)
