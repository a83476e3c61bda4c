"""The load process of the dashboard: started when first needed, ended with the dashboard."""

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any

from coffee_core.load.report import LoadReport

_LEAVE_S = 1.0
"""Seconds the process gets to wait for its last answers when the dashboard ends."""


class LoadProcess:
    """Keeps ``python -m coffee_core.load``; says of every end that was not asked for why it came."""

    def __init__(
        self, api_url: Callable[[], str], on_report: Callable[[LoadReport], None], on_death: Callable[[str], None]
    ) -> None:
        self._api_url = api_url
        self._serves = ""
        self._on_report = on_report
        self._on_death = on_death
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None

    async def tell(self, command: dict[str, Any]) -> None:
        """Give a command to the process, starting it where it does not run. Raises OSError where it cannot."""
        gone = self._process is None or self._process.returncode is not None
        if gone or self._serves != self._api_url():
            await self._start()
        assert self._process is not None, "it was started"
        assert self._process.stdin is not None, "it was started with a pipe"
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        await self._process.stdin.drain()

    async def _start(self) -> None:
        await self.close()
        self._serves = self._api_url()
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "coffee_core.load",
            self._serves,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            # Never the terminal, which belongs to the screen.
            stderr=asyncio.subprocess.PIPE,
        )
        self._reading = asyncio.create_task(self._read(self._process), name="load process")

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None, "it was started with a pipe"
        assert process.stderr is not None, "it was started with a pipe"
        errors = asyncio.create_task(process.stderr.read())
        async for line in process.stdout:
            self._on_report(LoadReport.from_json(line))
        code = await process.wait()
        said = (await errors).decode(errors="replace").strip().splitlines()
        if process is not self._process:
            return  # it was told to end
        self._on_death(f"the load process ended with code {code}" + (f": {said[-1]}" if said else ""))

    def check(self) -> None:
        """Raise what reading the process has raised, where it has."""
        if self._reading is not None and self._reading.done():
            self._reading.result()

    async def close(self) -> None:
        """End the process: close its input, give it a moment for its last answers, then kill it."""
        process, reading = self._process, self._reading
        self._process = self._reading = None
        if process is None or reading is None:
            return
        assert process.stdin is not None, "it was started with a pipe"
        process.stdin.close()
        await asyncio.wait({reading}, timeout=_LEAVE_S)
        if process.returncode is None:
            process.kill()
        await reading
