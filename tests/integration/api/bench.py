"""``python -m tests.integration.api.bench slow|overload``: how the API holds, measured on real servers.

slow: the answers to honest clients, alone and beside 500 connections that send a byte now and then.
overload: the orders taken each second of 64 clients in a closed loop, then three times as many in an open one, on
more connections than there is room for. The generator is a process of its own: what it, the API and Redis take of
the processor stands beside.
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
from tests.integration.api.open_loop import HEAD, REQUEST
from tests.integration.api.process import Api, running
from tests.servers import free_port, serving
from tests.waiting import until

SECONDS = 10.0
SLOW = 500


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
        *(sys.executable, "-m", "tests.integration.api.open_loop"),
        *(str(port), str(connections), str(rate), str(SECONDS)),
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await generator.communicate()
    assert generator.returncode == 0
    result: dict[str, Any] = json.loads(said)
    return result


async def overload(pids: Mapping[str, int], port: int, redis_url: str) -> None:
    taken, most = 0, 0.0
    for connections, times in ((64, 0), (64, 0), (2_000, 3), (2_000, 3), (8_000, 3)):
        before, memory = {name: _cpu_s(pid) for name, pid in pids.items()}, memory_mib(pids["api"])
        result = await push(port, connections, times * most)
        seconds, answers = result["seconds"], result["answers"]
        cores = {name: (_cpu_s(pid) - before[name]) / seconds for name, pid in pids.items()}
        cores["generator"] = result["cpu_s"] / seconds
        rates = {name: round(count / seconds) for name, count in answers.items()}
        most = most if times else max(most, answers["202"] / seconds)
        taken += result["acknowledged"]
        print(  # noqa: T201
            f"{connections} connections, {sum(rates.values()):,}/s offered: {rates['202']:,}/s taken, "
            f"{rates['202'] / most:.0%} of the most; {rates}; "
            f"cores {', '.join(f'{name} {share:.2f}' for name, share in cores.items())}; "
            f"memory {memory:.0f} → {memory_mib(pids['api']):.0f} MiB",
            flush=True,
        )
    with Redis.from_url(redis_url) as client:
        print(f"{taken:,} were taken, {client.xlen(STREAM):,} are on the stream")  # noqa: T201


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
