"""Processes: that of a part, with its start and its end, and programs that run to their end for one."""

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from backend.stack.log_files import log_path, open_log, text_since
from backend.stack.part import Part
from backend.stack.ports import require_free
from backend.stack.reason import reason_in
from backend.stack.spawn import child_env, signal_group, spawn_options
from coffee_core.children import child_environ
from coffee_core.errors import StackError
from coffee_core.parent_death_signal import dies_with_parent
from coffee_core.settings import Settings


@dataclass(frozen=True, slots=True)
class PartProcess:
    """One run of a part's program."""

    part: Part
    log: Path
    log_start: int
    """Length of the log when it was started, in bytes."""
    killed_before: int
    """How many processes the system had ended for want of memory by then."""
    _process: asyncio.subprocess.Process

    @classmethod
    async def start(cls, part: Part, settings: Settings) -> "PartProcess":
        """Start the program. Raises StackError where a port is taken or it cannot be started."""
        for port in part.ports:
            require_free(settings, port, part.host)
        log = log_path(settings.home, part.name)
        with open_log(log) as output:
            log_start = os.fstat(output.fileno()).st_size
            options = {**spawn_options(child_env(settings, part.env), output), "cwd": part.folder}
            try:
                process = await asyncio.create_subprocess_exec(*part.argv, **options)
            except OSError as error:
                raise StackError(f"cannot start {part.argv[0]}: {error}") from error
        return cls(part, log, log_start, killed_for_memory(), process)

    @property
    def pid(self) -> int:
        """Its process id, also of its session and group."""
        return self._process.pid

    async def ended(self) -> None:
        """Wait for its end. Raises StackError with how it ended."""
        code = await self._process.wait()
        reason = reason_in(text_since(self.log, self.log_start))
        if code < 0:
            raise _killed(signal.Signals(-code), reason, for_memory=killed_for_memory() > self.killed_before)
        raise StackError(f"ended with exit code {code}" + (f": {reason}" if reason else ""))

    async def end(self) -> bool:
        """End it, in order or else by force, with whatever it left behind; return whether it ended in order."""
        if self._process.returncode is None:
            self._process.send_signal(self.part.stop_signal)
        try:
            await asyncio.wait_for(self._process.wait(), self.part.stop_within_s)
        except TimeoutError:
            return False
        else:
            return True
        finally:
            signal_group(self.pid, signal.SIGKILL)
            await self._process.wait()


class KilledError(StackError):
    """A part was ended from outside."""


_OWN_SIGNALS = (signal.SIGABRT, signal.SIGBUS, signal.SIGSEGV, signal.SIGILL, signal.SIGFPE)
"""Signals by which a program ends itself; its log may say why."""


def _killed(number: signal.Signals, reason: str, *, for_memory: bool) -> StackError:
    """Return the error for an end by a signal: KilledError where that came from outside."""
    killed = f"killed by {number.name}"
    if number == signal.SIGKILL and for_memory:
        return StackError(f"{killed}: the machine, or its control group, has run out of memory")
    if number in _OWN_SIGNALS:
        return StackError(f"{killed}: {reason}" if reason else killed)
    return KilledError(killed)


def killed_for_memory() -> int:
    """Return how many processes this system has ended for want of memory; 0 where it does not count them."""
    try:
        counters = Path("/proc/vmstat").read_text(encoding="ascii")
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in counters.splitlines() if line.startswith("oom_kill ")), 0)


async def run(what: str, argv: Sequence[str], stdin: str = "", env: Mapping[str, str] | None = None) -> str:
    """Run a program to its end, to prepare or settle a part, and return its output; cancelled, it is killed.

    Raises StackError with ``what`` and the reason where it fails or cannot be started.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,  # a Ctrl-C in the terminal is for us, who then end it
            preexec_fn=dies_with_parent(),
            env=child_environ(env),
        )
    except OSError as error:
        raise StackError(f"{what} failed: {error}") from error
    try:
        output, _ = await process.communicate(stdin.encode())
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    text = output.decode(errors="replace").strip()
    if process.returncode:
        raise StackError(f"{what} failed: {reason_in(text) or f'exit code {process.returncode}'}")
    return text
