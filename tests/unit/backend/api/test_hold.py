"""Who is told to wait is made to: nothing is read from that connection for as long, and others are served."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from backend.api import http_protocol
from backend.api.admission import HOLD
from backend.api.http_protocol import LimitedProtocol
from backend.api.problems import answer
from tests.waiting import until


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def ask(self, path: str) -> bytes:
        """Return the status of the answer to a GET."""
        self._writer.write(b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % path.encode())
        return (await self._reader.readuntil(b"\r\n\r\n"))[9:12]


async def full_or_free(scope: Scope, _receive: Receive, send: Send) -> None:
    if scope["path"] == "/full":
        scope[HOLD]()
        await answer(send, 503, [], b"")
    else:
        await answer(send, 200, [], b"")


@contextlib.asynccontextmanager
async def clients(number: int) -> AsyncIterator[list[Client]]:
    config = uvicorn.Config(full_or_free, ws="none", lifespan="off", log_config=None)
    state = ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: LimitedProtocol(config, state, {}), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    pairs = [await asyncio.open_connection("127.0.0.1", port) for _ in range(number)]
    try:
        yield [Client(*pair) for pair in pairs]
    finally:
        server.close()
        for connection in list(state.connections):
            connection.shutdown()
        await until(lambda: not state.connections and not state.tasks)
        for _, writer in pairs:
            writer.close()
        await server.wait_closed()


async def test_who_is_told_to_wait_is_not_read_from_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "HOLD_S", 600.0)
    async with clients(2) as (hasty, other):
        assert await hasty.ask("/full") == b"503"
        again = asyncio.create_task(hasty.ask("/free"))
        assert [await other.ask("/free") for _ in range(50)] == [b"200"] * 50
        assert not again.done()
        again.cancel()


async def test_it_is_read_from_again_and_held_as_often_as_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "HOLD_S", 0.01)
    async with clients(1) as (hasty,):
        assert [await hasty.ask(path) for path in ("/full", "/free", "/full", "/full", "/free")] == [
            *(b"503", b"200", b"503", b"503", b"200")
        ]


async def test_a_server_that_stops_closes_what_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "HOLD_S", 600.0)
    async with clients(1) as (hasty,):
        assert await hasty.ask("/full") == b"503"
    with pytest.raises(asyncio.IncompleteReadError):
        await hasty.ask("/free")
