"""A child process that cannot outlive us: a session of its own, and a signal from the kernel when we die."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import IO

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform.startswith("linux") else None


def spawn(
    argv: Sequence[str], env: Mapping[str, str], output: IO[bytes] | int, death_signal: int = signal.SIGKILL
) -> "subprocess.Popen[bytes]":
    """Start a child in a session of its own, its output going to a file.

    On Linux the kernel sends it ``death_signal`` when the *thread* that called this ends: call it from the main
    thread. A program that changes its account loses that and must ask for it again. Raises OSError.
    """
    parent = os.getpid()

    def tie() -> None:
        # Between fork and exec: one system call, then a look whether the parent died before it was made.
        if _libc is not None:
            _libc.prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)

    return subprocess.Popen(
        argv,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=tie,
        umask=0o077,
    )


def child_env(extra: Mapping[str, str]) -> dict[str, str]:
    """Return our environment for a child, with these variables added.

    PYTHONDONTWRITEBYTECODE stays behind: with it every restart of a Python part compiles its libraries anew.
    """
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**inherited, "PYTHONUNBUFFERED": "1", **extra}


def signal_group(process: "subprocess.Popen[bytes]", number: int) -> None:
    """Send a signal to whatever is left of the child's group."""
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):
        return
