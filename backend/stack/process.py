"""Processes: that of a part, with its start and its end, and programs that run to their end for one."""

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from backend.stack.log_files import last_line, log_path, open_log
from backend.stack.part import Part
from backend.stack.ports import require_free
from backend.stack.spawn import child_env, signal_group, spawn_options
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
    _process: asyncio.subprocess.Process

    @classmethod
    async def start(cls, part: Part, settings: Settings) -> "PartProcess":
        """Start the program. Raises StackError where its port is taken or it cannot be started."""
        if part.port is not None:
            require_free(settings, part.port)
        log = log_path(settings.home, part.name)
        with open_log(log) as output:
            log_start = os.fstat(output.fileno()).st_size
            options = spawn_options(child_env(settings, part.env), output)
            try:
                process = await asyncio.create_subprocess_exec(*part.argv, **options)
            except OSError as error:
                raise StackError(f"cannot start {part.argv[0]}: {error}") from error
        return cls(part, log, log_start, process)

    @property
    def pid(self) -> int:
        """Its process id, also of its session and group."""
        return self._process.pid

    async def ended(self) -> None:
        """Wait for its end. Raises StackError with how it ended."""
        code = await self._process.wait()
        if code < 0:
            raise StackError(f"killed by {signal.Signals(-code).name}")
        reason = last_line(self.log, self.log_start)
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


async def run(what: str, argv: Sequence[str], stdin: str = "", env: Mapping[str, str] | None = None) -> str:
    """Run a program to its end, to prepare or settle a part, and return its output; cancelled, it is killed.

    Raises StackError with ``what`` and its last line where it fails or cannot be started.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,  # a Ctrl-C in the terminal is for us, who then end it
            preexec_fn=dies_with_parent(),
            env={**os.environ, **(env or {})},
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
        raise StackError(f"{what} failed: {text.splitlines()[-1] if text else f'exit code {process.returncode}'}")
    return text
