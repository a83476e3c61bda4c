"""A relay before one port of the loopback, in a process of its own: part it, and heal it."""

import asyncio
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Self

from backend.stack.relay import WHOLE, Condition, Link, Listener, listen
from coffee_core.parent_death_signal import dies_with_parent
from tests.servers import free_port

_HOST = "127.0.0.1"
_CONDITIONS = {"part": Condition(blocked=True), "heal": WHOLE}


@dataclass
class Relay:
    """The relay before a port; use it as a context manager."""

    upstream_port: int
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[str] | None" = None

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            [sys.executable, "-m", __spec__.name, str(self.port), str(self.upstream_port)],
            stdin=subprocess.PIPE,
            text=True,
            preexec_fn=dies_with_parent(),
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.kill()
        self.process.wait()

    def part(self) -> None:
        """Let nothing through from now on, either way; connections stay."""
        self._say("part")

    def heal(self) -> None:
        """Let everything through again, also what was sent meanwhile."""
        self._say("heal")

    def _say(self, word: str) -> None:
        assert self.process is not None
        assert self.process.stdin is not None
        print(word, file=self.process.stdin, flush=True)


async def _serve(port: int, upstream_port: int) -> None:
    link = Link("parted")
    async with await listen(Listener(port, upstream_port, link), _HOST):
        while word := await asyncio.to_thread(sys.stdin.readline):
            condition = _CONDITIONS[word.strip()]
            link.put(condition, condition)


if __name__ == "__main__":
    asyncio.run(_serve(*map(int, sys.argv[1:])))
