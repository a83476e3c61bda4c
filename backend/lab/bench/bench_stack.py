"""A stack of the bench's own: a fresh home, free ports, the default settings; the user's data is never touched."""

import asyncio
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import fields
from pathlib import Path
from types import TracebackType
from typing import Self

from backend.stack.log_files import open_log, text_since
from backend.stack.parts import stack
from backend.stack.ports import is_free
from backend.stack.reason import reason_in
from coffee_core.children import child_environ, python_module
from coffee_core.errors import StackError
from coffee_core.pipelines import FOLDERS_VARIABLE, PACKAGES_SETTING, Pipeline
from coffee_core.runstate import State, read_states
from coffee_core.settings import Settings

_UP_WITHIN_S = 300.0
_DOWN_WITHIN_S = 40.0
_STEP_S = 0.05
_FIRST_PORT, _LAST_PORT = 18_200, 32_000
"""Below the ports that systems give to outgoing connections."""
_PORTS = [
    name for field in fields(Settings) if field.type is int and (name := field.metadata["env"]).endswith("_PORT")
]
_PACKAGES = (PACKAGES_SETTING, FOLDERS_VARIABLE)
_GIVEN = ("API_URL", "DATABASE_URL", "REDIS_URL", "KAFKA_BOOTSTRAP_SERVERS", "FLINK_REST_URL")


class BenchStack:
    """Use it as an asynchronous context manager; it is gone with its block, also where we are killed.

    Its home is a fresh folder within ``parent``; ``extra`` are settings that differ from the defaults.
    """

    def __init__(
        self, parent: Path, pipelines: Sequence[Pipeline], extra: Mapping[str, str] | None = None
    ) -> None:
        self._created = None if parent.exists() else parent
        parent.mkdir(parents=True, exist_ok=True)
        self.home = Path(tempfile.mkdtemp(prefix="coffee-bench-", dir=parent))
        """Folder of its data: on the disk on which the user's own would lie."""
        self.environ = _environment(self.home, pipelines) | dict(extra or {})
        """Environment of every process of it."""
        self.settings = Settings.from_env(self.environ)
        self.started_s = 0.0
        """When it was started, monotonic seconds."""
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """Process id of its supervisor, whose children all others are."""
        assert self._process is not None, "it was started"
        return self._process.pid

    async def __aenter__(self) -> Self:
        """Start it; return at once."""
        await self.start()
        return self

    async def start(self) -> None:
        """Start it, also again once it was killed; return at once."""
        if self._process is not None:
            await self._process.wait()
        self.started_s = time.monotonic()
        with open_log(self.home / "bench.log") as log:
            # It ends when its standard input does, so also when we are killed.
            self._process = await asyncio.create_subprocess_exec(
                *python_module("backend.stack.supervisor"),
                env=self.environ,
                stdin=asyncio.subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it and delete its data."""
        process = self._process
        if process is not None and process.returncode is None:
            assert process.stdin is not None, "it was started with a pipe"
            process.stdin.close()
            try:
                await asyncio.wait_for(process.wait(), _DOWN_WITHIN_S)
            except TimeoutError:
                process.kill()  # its children go with it
                await process.wait()
        # With a file system that has failed it is gone already: what failed says more than its absence.
        with suppress(FileNotFoundError):
            await asyncio.to_thread(shutil.rmtree, self.home)
        if self._created is not None and not any(self._created.iterdir()):
            self._created.rmdir()

    async def wait_until_up(self) -> None:
        """Wait until every part is up. Raises StackError where one does not come up, or the stack ends."""
        names = set(stack(self.settings).parts)
        deadline = time.monotonic() + _UP_WITHIN_S
        while True:
            self.require()
            up = {part.name for part in read_states(self.home) if part.state is State.UP}
            if up >= names:
                return
            if time.monotonic() > deadline:
                raise StackError(f"not up after {_UP_WITHIN_S:g} s: {', '.join(sorted(names - up))}")
            await asyncio.sleep(_STEP_S)

    def require(self) -> None:
        """Raise StackError where the stack has ended."""
        if self._process is not None and self._process.returncode is not None:
            reason = reason_in(text_since(self.home / "bench.log"))
            raise StackError(f"the stack of the bench has ended: {reason or 'no reason given'}")


def _environment(home: Path, pipelines: Sequence[Pipeline]) -> dict[str, str]:
    def is_setting(name: str) -> bool:
        return name in _GIVEN or name.startswith(("COFFEE_", "KAFKA_"))

    # Which pipelines there are is no setting of a stack: ours knows the same as this process.
    inherited = child_environ(downloads=True)
    kept = {name: value for name, value in inherited.items() if not is_setting(name) or name in _PACKAGES}
    return (
        kept
        | dict(zip(_PORTS, map(str, free_ports(len(_PORTS))), strict=True))
        | {"COFFEE_HOME": str(home), "COFFEE_PIPELINES": ",".join(pipelines)}
    )


def free_range(number: int) -> int:
    """Return the first of so many TCP ports in a row that nobody listens on now. Raises StackError."""
    firsts = list(range(_FIRST_PORT, _LAST_PORT - number, number))
    # Two that look at the same time do not find the same one.
    begin = os.getpid() % len(firsts)
    for first in firsts[begin:] + firsts[:begin]:
        if all(is_free(port) for port in range(first, first + number)):
            return first
    raise StackError(f"no {number} ports in a row are free between {_FIRST_PORT} and {_LAST_PORT}")


def free_ports(number: int) -> list[int]:
    """Return so many different TCP ports of the loopback that nobody listens on now."""
    with ExitStack() as held:
        # All held at once: no two of them are the same.
        probes = [held.enter_context(socket.socket()) for _ in range(number)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
