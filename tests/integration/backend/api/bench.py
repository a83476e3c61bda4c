"""``python -m tests.integration.backend.api.bench slow|overload``: how the API holds, measured on real servers.

slow: the answers to honest clients, alone and beside 500 connections that send a byte now and then.
overload: the orders taken each second of 64 clients in a closed loop; the breakpoint of 2,000 clients in an open
one, the highest rate at which none is refused or kept waiting and p99 stays below 100 ms; then three times the
breakpoint, which is more than there is room for. The generator is a process of its own: what it, the API and Redis
take of the processor stands beside.
"""

import asyncio
import json
import multiprocessing
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import uvloop
from redis import Redis

from backend.stack import redis as redis_stack
from coffee_core.keys import STREAM
from coffee_core.settings import Settings
from tests.integration.backend.api.open_loop import HEAD, REQUEST
from tests.integration.backend.api.process import Api, running
from tests.servers import free_port, serving
from tests.waiting import until

SECONDS = 10.0
SLOW = 500
BOUND_MS = 100.0
"""p99 of the answers up to which a rate counts as kept up with, as in ``coffee bench``."""


class Client:
    """One connection that posts orders as cheaply as can be."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def open(self) -> "Client":
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def post(self) -> int:
        self._writer.write(REQUEST)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]
        await self._reader.readexactly(int(length))
        return int(head[9:12])

    def close(self) -> None:
        self._writer.transport.abort()


async def _clients(port: int, count: int) -> list[Client]:
    return [await Client(port).open() for _ in range(count)]


async def honest(port: int) -> str:
    """Post 200 orders a second by ten clients; say p50 and p99 of the answers."""
    times_ms: list[float] = []

    async def one(client: Client) -> None:
        for _ in range(int(SECONDS * 20)):
            await asyncio.sleep(random.uniform(0.04, 0.06))
            started = time.perf_counter()
            assert await client.post() == 202
            times_ms.append((time.perf_counter() - started) * 1_000)

    clients = await _clients(port, 10)
    await asyncio.gather(*map(one, clients))
    cuts = statistics.quantiles(times_ms, n=100)
    return f"p50 {cuts[49]:.2f} ms, p99 {cuts[98]:.2f} ms of {len(times_ms)}"


async def trickle(port: int) -> None:
    """Keep 500 connections busy with headers and bodies that do not end; one that is cut off comes again."""

    async def one(number: int) -> None:
        start = HEAD if number % 2 else HEAD + b"Content-Length: 90\r\n\r\n{"
        while True:
            with suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(start)
                for _ in range(10):
                    await asyncio.sleep(random.uniform(0.5, 1))
                    writer.write(b"X")
                    await writer.drain()
                writer.transport.abort()

    await asyncio.gather(*map(one, range(SLOW)))


def _trickle(port: int) -> None:
    asyncio.run(trickle(port))


async def slow(api: Api, port: int) -> None:
    for name in ("alone", "alone again"):
        print(f"{name}: {await honest(port)}", flush=True)  # noqa: T201
    other = multiprocessing.Process(target=_trickle, args=(port,), daemon=True)
    other.start()
    await until(lambda: _open(api, SLOW), 30)
    for _ in range(2):
        print(f"beside {SLOW} slow connections: {await honest(port)}", flush=True)  # noqa: T201
    other.kill()


def _open(api: Api, count: int) -> bool:
    return bool(psutil.Process(api.process.pid).num_fds() > count)


async def push(port: int, connections: int, rate: float) -> dict[str, Any]:
    """Run the generator; return what it says."""
    generator = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.integration.backend.api.open_loop"),
        *(str(port), str(connections), str(rate), str(SECONDS)),
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await generator.communicate()
    assert generator.returncode == 0
    result: dict[str, Any] = json.loads(said)
    return result


class Overload:
    """One API, pushed harder and harder."""

    def __init__(self, pids: Mapping[str, int], port: int) -> None:
        self._pids, self._port = pids, port
        self.taken = 0
        """Orders acknowledged so far."""

    async def push(self, connections: int, rate: float, base: float = 0.0) -> tuple[float, bool]:
        """Return the orders taken a second, and whether all were, in time; say how many of ``base`` that is."""
        before = {name: _cpu_s(pid) for name, pid in self._pids.items()}
        memory = memory_mib(self._pids["api"])
        result = await push(self._port, connections, rate)
        seconds = result["seconds"]
        cores = {name: (_cpu_s(pid) - before[name]) / seconds for name, pid in self._pids.items()}
        cores["generator"] = result["cpu_s"] / seconds
        rates = {name: round(count / seconds) for name, count in result["answers"].items()}
        goodput = result["answers"].get("202", 0) / seconds
        self.taken += result["acknowledged"]
        print(  # noqa: T201
            f"{connections} connections, {sum(rates.values()):,}/s offered: {goodput:,.0f}/s taken"
            f"{f', {goodput / base:.0%} of {base:,.0f}' if base else ''}; p99 {result['p99_ms']:.1f} ms; {rates}; "
            f"cores {', '.join(f'{name} {share:.2f}' for name, share in cores.items())}; "
            f"memory {memory:.0f} → {memory_mib(self._pids['api']):.0f} MiB",
            flush=True,
        )
        return goodput, set(result["answers"]) == {"202"} and result["p99_ms"] < BOUND_MS


async def overload(pids: Mapping[str, int], port: int, redis_url: str) -> None:
    """Find the breakpoint, then offer three times as much, twice; at last on four times the connections, too."""
    api = Overload(pids, port)
    most = max([(await api.push(64, 0))[0] for _ in range(2)])
    breakpoint_per_s, failed = 0.0, 0
    for share in range(50, 101, 5):
        rate = most * share / 100
        _, in_time = await api.push(2_000, rate)
        if in_time:
            breakpoint_per_s = rate
        failed = 0 if in_time else failed + 1
        if failed == 2:
            break
    assert breakpoint_per_s, "not even half of what 64 clients get is kept up with"
    for connections in (2_000, 2_000, 8_000):
        await api.push(connections, 3 * breakpoint_per_s, breakpoint_per_s)
    with Redis.from_url(redis_url) as client:
        print(f"{api.taken:,} were taken, {client.xlen(STREAM):,} are on the stream")  # noqa: T201


def _cpu_s(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def memory_mib(pid: int) -> float:
    rss: int = psutil.Process(pid).memory_info().rss
    return rss / 2**20


async def main(what: str, redis_url: str, redis_pid: int, folder: Path) -> None:
    async with running(folder, REDIS_URL=redis_url, COFFEE_PIPELINES="v2") as api:
        await until(lambda: api.is_ready("v2"))
        port = urlsplit(api.base_url).port or 0
        pids = {"api": api.process.pid, "redis": redis_pid}
        await (slow(api, port) if what == "slow" else overload(pids, port, redis_url))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        settings = Settings.from_env({"COFFEE_HOME": name, "COFFEE_REDIS_PORT": str(free_port())})
        with serving(redis_stack.part(settings), settings, home / "redis.log") as redis:
            uvloop.run(main(sys.argv[1], settings.redis_url, redis.pid, home))
