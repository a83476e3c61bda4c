"""The API's HTTP on a real socket, with any application behind it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.server import ServerState

from backend.api.http_protocol import LimitedProtocol, LimitedWSProtocol
from tests.waiting import until


class Connection:
    """One client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def read(self) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body of the next answer; raises IncompleteReadError after the last."""
        async with asyncio.timeout(30):
            first, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
            headers = dict(line.split(": ", 1) for line in lines)
            body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        return int(first.split(" ")[1]), headers, body

    async def statuses(self) -> list[int]:
        """Return the statuses of all answers until the server closes."""
        found = []
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionResetError):
            while True:
                found.append((await self.read())[0])
        return found

    async def is_closed(self) -> bool:
        """Tell whether the server has closed, after what it has said."""
        try:
            return not await self.reader.read(65_536)
        except ConnectionResetError:
            return True


class Served:
    """A server that listens."""

    def __init__(self, state: ServerState, port: int) -> None:
        self.state, self.port = state, port
        self._writers: list[asyncio.StreamWriter] = []

    async def connect(self, said: bytes = b"") -> Connection:
        """Open a connection and say something."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self._writers.append(writer)
        writer.write(said)
        return Connection(reader, writer)

    def is_idle(self) -> bool:
        """Tell whether there is neither a connection nor a request."""
        return not self.state.connections and not self.state.tasks

    def is_at_rest(self) -> bool:
        """Tell whether there is no request."""
        return not self.state.tasks

    def leave(self) -> None:
        """Close every connection from this side."""
        for writer in self._writers:
            writer.close()


@contextlib.asynccontextmanager
async def serving(app: ASGIApp, app_state: Mapping[str, Any] | None = None) -> AsyncIterator[Served]:
    """Serve an application for the length of the block; ``app_state`` is what its lifespan would yield."""
    config = uvicorn.Config(
        app, interface="asgi3", ws=LimitedWSProtocol, ws_per_message_deflate=False, lifespan="off", log_config=None
    )
    config.load()
    state = ServerState()
    server = await asyncio.get_running_loop().create_server(
        lambda: LimitedProtocol(config, state, dict(app_state or {})), "127.0.0.1", 0
    )
    served = Served(state, server.sockets[0].getsockname()[1])
    try:
        yield served
    finally:
        server.close()
        for connection in list(state.connections):
            connection.shutdown()
        served.leave()
        await until(served.is_idle)
        await server.wait_closed()
