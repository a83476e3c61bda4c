"""Lets a child process end with its parent, however the parent ends.

Linux has a signal for that. Elsewhere (macOS) a guard sends it: a shell that each child announces itself to over a
pipe, and that acts when the pipe ends, which is when we do, SIGKILL or not.
"""

import ctypes
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from functools import partial

from coffee_core.priority import lower_session_priority

_PR_SET_PDEATHSIG = 1
_prctl: Callable[..., int] | None = getattr(ctypes.CDLL(None, use_errno=True), "prctl", None)
"""Linux' call; None on other systems."""
_POLL_S = 0.3

_GUARD = """\
trap '' HUP INT QUIT TERM
# A pid may be another process by then: one that began at another time.
began() { echo $(ps -o lstart= -p "$1"); }
while read -r pid signal; do
  children="$children$pid $signal $(began "$pid")
"
done
printf %s "$children" | while read -r pid signal since; do
  [ "$(began "$pid")" != "$since" ] || kill "-$signal" "$pid"
done
"""


def dies_with_parent(death_signal: int = signal.SIGKILL, niceness: int = 0) -> Callable[[], None]:
    """Return a ``preexec_fn`` by which a child process gets this signal when we die.

    Linux watches the *thread* that starts the child: start it from the main thread, or from one that outlives
    it. A program that changes its uid loses the signal and must ask for it again. ``niceness`` (0 to 19) is
    added to its own.
    """
    if _prctl is None:
        return partial(_announce, _guard.pipe(), death_signal, niceness)
    return partial(_set_death_signal, os.getpid(), death_signal, niceness)


def die_with(parent: int, death_signal: int = signal.SIGTERM) -> None:
    """Ask for the signal when the process that has started us ends; where it is gone already, we end at once."""
    if _prctl is None:
        threading.Thread(target=_watch, args=(parent, death_signal), daemon=True).start()
    else:
        _set_death_signal(parent, death_signal, 0)


def _set_death_signal(parent: int, death_signal: int, niceness: int) -> None:
    assert _prctl is not None
    _step_back(niceness)
    _prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
    # We may have died before the system call was made.
    if os.getppid() != parent:
        os._exit(1)


def _announce(pipe: int, death_signal: int, niceness: int) -> None:
    _step_back(niceness)
    # The pipe is open in this child until it runs its program: the guard reads this before it sees the end.
    os.write(pipe, f"{os.getpid()} {int(death_signal)}\n".encode())


def _step_back(niceness: int) -> None:
    if niceness:
        lower_session_priority(os.getpid(), os.nice(niceness))


def _watch(parent: int, death_signal: int) -> None:
    while os.getppid() == parent:
        time.sleep(_POLL_S)
    os.kill(os.getpid(), death_signal)


class _Guard:
    """The shell that ends our children after us; started with the first of them, 2 ms and 1 MB."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def pipe(self) -> int:
        """Return the descriptor that a child announces itself on, starting the guard where there is none."""
        from coffee_core.children import child_environ  # not needed on Linux

        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._process = subprocess.Popen(
                    ("/bin/sh", "-c", _GUARD),
                    env=child_environ(),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
            assert self._process.stdin is not None, "it was started with a pipe"
            return self._process.stdin.fileno()


_guard = _Guard()
