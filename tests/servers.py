"""Starts one real server of the embedded stack for a test session."""

import asyncio
import contextlib
import itertools
import os
import signal
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from backend.stack.part import Part
from backend.stack.ports import is_free
from backend.stack.spawn import child_env, spawn_options
from coffee_core.settings import Settings
from tests.waiting import until

T = TypeVar("T")


_PORTS = range(10_000, 25_000)
"""Below those that the kernel gives to outgoing connections, of which one may take a port before its server does;
labs have theirs above."""
_handed_out = itertools.count(os.getpid() * 97)


def free_port() -> int:
    """Return a TCP port of the loopback that nobody listens on now, another one each time."""
    for number in itertools.islice(_handed_out, len(_PORTS)):
        port = _PORTS[number % len(_PORTS)]
        if is_free(port):
            return port
    raise RuntimeError(f"no free port from {_PORTS.start} to {_PORTS.stop - 1}")


def run(make: Callable[[], Awaitable[T]]) -> T:
    """Run a coroutine to its end on a loop of its own, whatever loop the test framework keeps in this thread."""

    async def body() -> T:
        return await make()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(body())).result()


def tail(log: Path) -> str:
    """Return the end of a log."""
    return log.read_text(encoding="utf-8", errors="replace")[-2000:]


def halt(process: "subprocess.Popen[bytes] | asyncio.subprocess.Process") -> None:
    """Stop a child by SIGSTOP, and return once it stands still: until then its other threads may still answer."""
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)


@contextlib.contextmanager
def serving(
    part: Part, settings: Settings, log: Path, within_s: float = 30.0
) -> Iterator["subprocess.Popen[bytes]"]:
    """Keep this part running for the length of the block; it dies with this process, whatever kills that."""
    run(part.prepare)
    with log.open("ab") as output:
        process = subprocess.Popen(part.argv, **spawn_options(child_env(settings, part.env), output))
    try:

        async def up() -> bool:
            assert process.poll() is None, f"{part.name} ended: {tail(log)}"
            return await part.ready()

        run(lambda: until(up, within_s, f"{part.name} is ready; {log}"))
        run(part.settle)
        yield process
    finally:
        process.send_signal(part.stop_signal)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
