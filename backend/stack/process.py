"""The process of a part: its start, its end, and what is said of how it ended."""

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from backend.stack.child import child_env, how, signal_group
from backend.stack.log_files import last_line, log_path, open_log
from backend.stack.part import Part
from backend.stack.ports import require_free
from coffee_core.errors import StackError
from coffee_core.parent_death_signal import tied
from coffee_core.settings import Settings

# Run a program to its end, as part of preparing or settling a part.


async def run(what: str, argv: Sequence[str], stdin: str = "", env: Mapping[str, str] | None = None) -> str:
    """Return what the program said; where we are cancelled, it is ended.

    Raises StackError with ``what`` and its last words where it fails or cannot be started.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,  # a Ctrl-C in the terminal is for us, who then end it
            preexec_fn=tied(),
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
            options = how(child_env(settings, part.env), output)
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
        """Wait for its end. Raises StackError saying how it ended."""
        code = await self._process.wait()
        if code < 0:
            raise StackError(f"killed by {signal.Signals(-code).name}")
        words = last_line(self.log, self.log_start)
        raise StackError(f"ended with exit code {code}" + (f": {words}" if words else ""))

    async def end(self) -> bool:
        """End it: first in order, then by force with whatever it left behind; return whether order sufficed."""
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
