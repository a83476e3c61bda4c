"""Whatever is said on a connection, in whatever pieces, is answered as HTTP or closed, and nothing is left behind.

COFFEE_FUZZ_BODIES sets how many connections are tried (default 500).
"""

import asyncio
import logging
import os
import re
from contextlib import suppress
from random import Random

import pytest
from starlette.types import Receive, Scope, Send

from backend.api.problems import answer
from tests.unit.backend.api.serving import serving
from tests.waiting import until

CONNECTIONS = int(os.environ.get("COFFEE_FUZZ_BODIES", "500"))
METHODS = (b"GET", b"POST", b"HEAD", b"CONNECT", b"OPTIONS")
PATHS = (b"/", b"/unread", b"/unread-and-close", b"*", b"http://a/b", b"/%ff", b"/a?b#c", b"x:1")
VERSIONS = (*[b"HTTP/1.1"] * 8, b"HTTP/1.0", b"HTTP/2.0")
WEBSOCKET = (
    b"Connection: Upgrade",
    b"Upgrade: websocket",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: " + b"A" * 24,
)
HEADERS = (
    *(
        b"Host: other",
        b"Content-Length: 5",
        b"Content-Length: 0",
        b"Transfer-Encoding: chunked",
        b"X: \xff",
        b" folded",
    ),
    *(b"Connection: close", b"Connection: keep-alive, Upgrade", b"Upgrade: h2c", b"Expect: 100-continue"),
    *(b"X:" + b"y" * 300, b"Trailer: X", *WEBSOCKET),
)
BODIES = (
    *(
        b"hello",
        b"",
        b"5\r\nhello\r\n0\r\n\r\n",
        b"5;x=y\r\nhello\r\n0\r\nHost: t\r\n\r\n",
        b"0\r\n\r\n",
        b"5\r\nhel",
    ),
    *(b"\x81\x80\0\0\0\0", b"\x89\x80\0\0\0\0", b"garbage\r\n\r\n", b"\0\0"),
)
EXPECTED = {100, 101, 200, 400, 413, 426}


async def _app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            pass
        return
    unread = scope["path"].startswith("/unread")
    more = not unread
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        more = message["more_body"]
    headers = [(b"connection", b"close")] if "close" in scope["path"] else []
    await answer(send, 413 if unread else 200, headers, b"")


def _request(made: Random) -> bytes:
    lines = [b" ".join(map(made.choice, (METHODS, PATHS, VERSIONS)))]
    lines += [b"Host: localhost"] if made.random() < 0.9 else []
    lines += made.choices(HEADERS, k=made.randrange(5))
    lines += WEBSOCKET if made.random() < 0.15 else ()
    return b"\r\n".join(lines) + b"\r\n\r\n" + made.choice(BODIES)


def _pieces(made: Random) -> list[bytes]:
    said = bytearray().join(_request(made) for _ in range(made.randrange(1, 5)))
    if made.random() < 0.2:
        said[made.randrange(len(said))] = made.randrange(256)
    pieces = []
    while said:
        length = made.choice([len(said), made.randrange(1, len(said) + 1), 40])
        pieces.append(bytes(said[:length]))
        del said[:length]
    return pieces


async def test_whatever_is_said_is_answered_or_closed(caplog: pytest.LogCaptureFixture) -> None:
    made, found = Random(7), set()
    async with serving(_app) as served:
        for _ in range(CONNECTIONS):
            pieces, heard = _pieces(made), b""
            client = await served.connect()
            with suppress(OSError):  # it is closed already
                for piece in pieces:
                    client.writer.write(piece)
                    await client.writer.drain()
                    for _ in range(made.choice([0, 0, 1, 6])):
                        await asyncio.sleep(0)
                client.writer.write_eof()
                heard = await client.reader.read()
            client.writer.close()
            found |= set(map(int, re.findall(rb"^HTTP/1\.1 (\d+)", heard, re.MULTILINE)))
            await until(served.is_idle)
            assert not [each for each in caplog.records if each.levelno >= logging.ERROR], pieces
    assert {101, 200, 400, 413} <= found <= EXPECTED
