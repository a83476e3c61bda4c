"""Every process of a stack at once: found, killed, and started again by the command that had started it."""

import os
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from backend.lab.chaos.restorer import growing_family
from backend.pipelines.faults import NotReadyError
from backend.stack import locks
from backend.stack.log_files import log_path, open_log
from backend.stack.polling import poll
from coffee_core.errors import CoffeeError

_GONE_WITHIN_S = 10.0
_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Supervisor:
    """What runs a whole stack, and how it was started."""

    pid: int
    command: tuple[str, ...]
    environ: Mapping[str, str]
    folder: str
    """Its working folder."""

    @classmethod
    def of(cls, home: Path) -> "Supervisor":
        """Return the one that runs in a home.

        Raises NotReadyError where none does that could be started again as it was: the dashboard of ``coffee up``
        and honcho hold ends of theirs that die with it.
        """
        pid = locks.holder(home, locks.SUPERVISOR)
        try:
            process = None if pid is None else psutil.Process(pid)
            command = () if process is None else tuple(process.cmdline())
            if process is None or "--headless" not in command:
                raise NotReadyError(f"only a stack that `coffee up --headless` runs can be started again: {home}")
            return cls(process.pid, command, process.environ(), process.cwd())
        except psutil.Error as error:
            raise NotReadyError(f"the stack's own process cannot be looked into: {error}") from error

    def start_again(self, home: Path) -> int:
        """Start it as it was started, to outlive us, its lines in the log ``up``; return its pid."""
        with open_log(log_path(home, "up")) as log:
            return subprocess.Popen(
                self.command,
                env=self.environ,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            ).pid


async def kill_all(pid: int) -> int:
    """Kill a process and all it has started, and wait until all are gone; return how many they were.

    They are stopped first: none sees the death of another, and none is born meanwhile. Raises CoffeeError where
    one is still there after 10 s.
    """
    family = []
    for member in growing_family(pid):
        _send(member, signal.SIGSTOP)
        family.append(member)
    for member in family:
        _send(member, signal.SIGKILL)
    left: list[int] = family

    def all_gone() -> bool:
        nonlocal left
        left = [member for member in left if _lives(member)]
        return not left

    if not await poll(all_gone, _POLL_S, _GONE_WITHIN_S):
        raise CoffeeError(f"still there {_GONE_WITHIN_S:g} s after SIGKILL: pids {', '.join(map(str, left))}")
    return len(family)


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _lives(pid: int) -> bool:
    """Tell whether a process still runs; one that only waits for its parent to hear of its end does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
