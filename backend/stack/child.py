"""A child process that cannot outlive us: a session of its own, and a signal from the kernel when we die."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import IO, Any

from coffee_core.settings import Settings

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform.startswith("linux") else None


def tied(death_signal: int = signal.SIGKILL) -> Callable[[], None]:
    """Return what a child must run before its program, so that it gets this signal when we die (on Linux).

    The kernel watches the *thread* that starts the child: start it from the main thread, or from one that outlives
    it. A program that changes its account loses the tie and must ask for it again.
    """
    return partial(_tie, os.getpid(), death_signal)


def _tie(parent: int, death_signal: int) -> None:
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
        # We may have died before the system call was made.
        if os.getppid() != parent:
            os._exit(1)


def how(env: Mapping[str, str], output: IO[bytes]) -> dict[str, Any]:
    """Return how a part's process is started, as keyword arguments of subprocess and of asyncio alike."""
    return {
        "env": env,
        "stdin": subprocess.DEVNULL,
        "stdout": output,
        "stderr": subprocess.STDOUT,
        "start_new_session": True,
        "preexec_fn": tied(),
        "umask": 0o077,
    }


def child_env(settings: Settings, extra: Mapping[str, str]) -> dict[str, str]:
    """Return our environment for a child: with the home and the pipelines as we understood them, and ``extra``.

    PYTHONDONTWRITEBYTECODE stays behind: with it every restart of a Python part compiles its libraries anew.
    """
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    ours = {"COFFEE_HOME": str(settings.home), "COFFEE_PIPELINES": ",".join(settings.pipelines)}
    return {**inherited, "PYTHONUNBUFFERED": "1", **ours, **extra}


def signal_group(pid: int, number: int) -> None:
    """Send a signal to whatever is left of a child's process group."""
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        return
