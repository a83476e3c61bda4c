"""A websocket's client makes the server keep nothing for it."""

import asyncio
import socket
from typing import cast

import pytest
from starlette.types import Receive, Scope, Send

from backend.api.http_protocol import LimitedWSProtocol
from tests.unit.backend.api.serving import serving
from tests.waiting import until

UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def _frame(opcode: int, payload: bytes) -> bytes:
    """Return a whole frame of a client, masked by zeros."""
    return bytes([0x80 | opcode, 0x80 | len(payload)]) + bytes(4) + payload


async def test_pings_are_answered_for_as_long_as_the_answers_are_read() -> None:
    heard = asyncio.Event()

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] != "websocket.disconnect":
            if message["type"] == "websocket.receive":
                heard.set()

    async with serving(app) as served:
        client = await served.connect(UPGRADE)
        assert (await client.read())[0] == 101
        client.writer.write(_frame(9, b"one"))
        async with asyncio.timeout(30):
            assert await client.reader.readexactly(5) == bytes([0x8A, 3]) + b"one"
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        (protocol,) = served.state.connections
        # Else the system keeps 10 MB for both ends, 80,000 frames.
        protocol.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
        client.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        for _ in range(25):  # 3.3 MB
            client.writer.write(_frame(9, b"p" * 125) * 1_000)
            await client.writer.drain()
        client.writer.write(_frame(1, b"all were pings"))
        await until(heard.is_set, 60)
        assert not cast("LimitedWSProtocol", protocol).writable.is_set()
        assert protocol.transport.get_write_buffer_size() < 2_000_000


@pytest.mark.parametrize("host", [b"loc\xa5alhost", b"xn--99999999"])
async def test_a_handshake_with_a_host_that_is_no_name_is_refused(
    host: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(_refusing) as served:
        client = await served.connect(UPGRADE.replace(b"localhost", host))
        assert await client.statuses() == [400]
        await until(served.is_idle)
    assert not caplog.records


async def _refusing(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "websocket.close", "code": 1008})


async def test_a_handshake_behind_an_unanswered_request_leaves_it_its_connection() -> None:
    asked, gone = [], asyncio.Event()

    async def app(scope: Scope, receive: Receive, _send: Send) -> None:
        asked.append(scope["type"])
        while (await receive())["type"] != "http.disconnect":
            pass
        gone.set()

    async with serving(app) as served:
        client = await served.connect(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" + UPGRADE)
        await until(lambda: asked)
        await asyncio.sleep(0)
        assert asked == ["http"]
        client.writer.close()
        await until(gone.is_set)
        await until(served.is_idle)
