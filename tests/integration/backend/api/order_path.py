"""``python -m tests.integration.backend.api.order_path``: the way of one order of v2 from the socket to Redis.

The real protocol and the real application, between two transports that lead nowhere: the request is handed to
uvicorn's protocol class as its bytes, Redis answers the XADD at once. Lists every function of our own packages
that runs meanwhile, by file, of an order without a key on a connection that has had some before.
"""

import asyncio
import contextlib
import sys
import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import CodeType, FrameType
from typing import Any
from unittest.mock import patch

import uvicorn
from uvicorn.lifespan.on import LifespanOn
from uvicorn.server import ServerState

import backend
from backend.api.app import create_app
from backend.api.http_protocol import LimitedProtocol, LimitedWSProtocol
from backend.api.standstill import StandstillWatcher
from backend.clients.postgres import PostgresPool
from backend.clients.redis import RedisClient, RedisLink
from coffee_core.settings import Settings
from tests.integration.backend.api.open_loop import REQUEST

ROOT = Path(backend.__file__).parents[1]
OWN = ("backend", "coffee_core")
_ORDERS = 20
ENTRY_ID = b"$15\r\n1736935200000-0\r\n"


class FakeTransport(asyncio.Transport):
    """Keeps what is written; is its own socket."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.answered = asyncio.Event()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self if name == "socket" else default

    def getsockname(self) -> tuple[str, int]:
        return "127.0.0.1", 8005

    def getpeername(self) -> tuple[str, int]:
        return "127.0.0.1", 40_000

    def setsockopt(self, *_: int) -> None:
        """Take any option."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data
        self.answered.set()

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        """Stay open."""

    def pause_reading(self) -> None:
        """Go on."""

    def resume_reading(self) -> None:
        """Go on."""


class FakeRedis(FakeTransport):
    """Acknowledges every XADD as soon as it is written."""

    def __init__(self, link: RedisLink) -> None:
        super().__init__()
        self._link = link

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Answer in the next turn of the event loop."""
        asyncio.get_running_loop().call_soon(self._link.data_received, ENTRY_ID * bytes(data).count(b"XADD"))


async def _fake_redis(backend: RedisClient) -> None:
    """Stand for ``RedisClient.run``: a connection that answers at once."""
    link = RedisLink(lambda _: None)
    link.connection_made(FakeRedis(link))
    backend._link = link
    backend.health.came_up()


async def _nothing(_: PostgresPool | StandstillWatcher) -> None:
    """Stand for what else runs: an order of v2 does not ask PostgreSQL, and this Redis knows nothing but XADD."""


@contextlib.asynccontextmanager
async def _connection() -> AsyncIterator[tuple[LimitedProtocol, FakeTransport]]:
    """Start the application and open one connection to it."""
    with (
        tempfile.TemporaryDirectory() as home,
        patch.object(RedisClient, "run", _fake_redis),
        patch.object(PostgresPool, "run", _nothing),
        patch.object(StandstillWatcher, "_run", _nothing),
    ):
        app = create_app(Settings.from_env({"COFFEE_HOME": home, "COFFEE_PIPELINES": "v2"}), lambda: None)
        config = uvicorn.Config(app, interface="asgi3", ws=LimitedWSProtocol, lifespan="on", log_config=None)
        config.load()
        lifespan = LifespanOn(config)
        await lifespan.startup()
        protocol, transport = LimitedProtocol(config, ServerState(), lifespan.state), FakeTransport()
        protocol.connection_made(transport)
        yield protocol, transport
        protocol.connection_lost(None)
        await lifespan.shutdown()


async def measure() -> Mapping[str, list[str]]:
    """Return the functions that one order passes, by the file that they stand in.

    The shortest of a few ways: one that is the first of its latency has its counter made on the way.
    """
    async with _connection() as (protocol, transport):
        ways = [await _way(protocol, transport) for _ in range(_ORDERS)]
    found: defaultdict[str, list[str]] = defaultdict(list)
    for code in min(ways, key=len):
        found[_own_path(code)].append(code.co_qualname)
    return {path: sorted(found[path]) for path in sorted(found)}


async def _way(protocol: LimitedProtocol, transport: FakeTransport) -> set[CodeType]:
    """Return the functions of our own packages that run for one order."""
    seen: set[CodeType] = set()

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event == "call":
            seen.add(frame.f_code)

    transport.written.clear()
    transport.answered.clear()
    sys.setprofile(note)
    try:
        protocol.data_received(REQUEST)
        await transport.answered.wait()
        await asyncio.sleep(0)
    finally:
        sys.setprofile(None)
    assert transport.written.startswith(b"HTTP/1.1 202 "), transport.written
    return {code for code in seen if _own_path(code)}


def _own_path(code: CodeType) -> str:
    """Return the path of the file within the repository, empty where it is not one of our packages."""
    path = Path(code.co_filename)
    if not path.is_relative_to(ROOT) or path.relative_to(ROOT).parts[0] not in OWN:
        return ""
    return str(path.relative_to(ROOT))


def main() -> None:
    """Print the files and the functions, and how many there are."""
    found = asyncio.run(measure())
    for path, names in found.items():
        print(f"{path} ({len(names)})", *names, sep="\n    ")  # noqa: T201
    print(f"{len(found)} files, {sum(map(len, found.values()))} functions")  # noqa: T201


if __name__ == "__main__":
    main()
