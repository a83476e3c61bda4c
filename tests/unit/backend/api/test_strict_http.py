"""What is HTTP and what is not: nothing is taken twice, for something else, or out of its order."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from typing import cast

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from backend.api import http_protocol
from backend.api.problems import answer
from tests.unit.backend.api.serving import Served, serving
from tests.waiting import until

BODY = b'{"drink":"latte"}'
HOST = b"Host: localhost\r\n"
JSON = b"Content-Type: application/json\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CHUNKS = b"%x;a=b\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)


class Echo:
    """Says what it was asked: 200 and method, headers' names and body."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.headers: list[list[bytes]] = []
        self.gone = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.gone += 1
                return
            body += message["body"]
            more = message["more_body"]
        self.bodies.append(body)
        self.headers.append([name for name, _ in scope["headers"]])
        await answer(send, 200, [], body)


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
async def served(echo: Echo) -> AsyncIterator[Served]:
    async with serving(echo) as served:
        yield served


def _post(extra: bytes = b"", body: bytes = BODY, *, host: bytes = HOST, version: int = 1) -> bytes:
    length = b"" if b"ransfer" in extra else b"Content-Length: %d\r\n" % len(body)
    return b"POST / HTTP/1.%d\r\n" % version + host + JSON + length + extra + b"\r\n" + body


@pytest.mark.parametrize(
    "said",
    [
        _post(),
        _post(host=b"", version=0),
        _post(CHUNKED, CHUNKS),
        _post(b"Expect: 100-continue\r\n"),
        _post(b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"),
        _post(b"Connection: Upgrade\r\nUpgrade: h2c\r\n" + CHUNKED, CHUNKS),
        _post(b"Connection: Upgrade, close\r\nUpgrade: TLS/1.0\r\n"),
    ],
    ids=["plain", "HTTP/1.0", "chunked", "expect", "h2c", "h2c chunked", "another protocol"],
)
async def test_what_is_http_arrives_whole(served: Served, echo: Echo, said: bytes) -> None:
    client = await served.connect(said)
    status = (await client.read())[0]
    if status == 100:
        status = (await client.read())[0]
    assert (status, echo.bodies) == (200, [BODY])
    assert b"upgrade" not in echo.headers[0]


async def test_an_offer_of_another_protocol_may_come_in_pieces_and_others_after_it(
    served: Served, echo: Echo
) -> None:
    offer = _post(b"Connection: Upgrade\r\nUpgrade: h2c\r\n")
    client = await served.connect()
    for piece in (offer[:10], offer[10:-5], offer[-5:]):
        client.writer.write(piece)
        await client.writer.drain()
        await asyncio.sleep(0)
    assert (await client.read())[2] == BODY
    client.writer.write(_post(body=b"next"))
    assert (await client.read())[2] == b"next"
    # Behind another request nobody offers it: that one is answered, and this is not taken for anything.
    client.writer.write(_post(body=b"first") + offer)
    assert await client.statuses() == [200]
    assert echo.bodies == [BODY, b"next", b"first"]


@pytest.mark.parametrize(
    "said",
    [
        _post(host=b""),
        _post(host=b"Host: localhost\r\nHost: other\r\n"),
        _post(CHUNKED + b"Content-Length: 3\r\n", CHUNKS),
        _post(b"Content-Length: 3\r\n"),
        _post(b"Transfer-Encoding: gzip, chunked\r\n", CHUNKS),
        _post(b"Transfer-Encoding: identity\r\n"),
        _post(b"Transfer-Encoding : chunked\r\n", CHUNKS),
        _post(b"X: a\r\n b\r\n"),
        _post(b"X: a\rb\r\n"),
        _post(b"X: a\0b\r\n"),
        _post().replace(b"\r\n", b"\n"),
        _post(CHUNKED, b"0x5\r\nabcde\r\n0\r\n\r\n"),
        _post(CHUNKED, b"-5\r\nabcde\r\n0\r\n\r\n"),
        _post(CHUNKED, b"fffffffffffffffff\r\nabcde\r\n0\r\n\r\n"),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"CONNECT localhost:443 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
)
async def test_what_another_server_could_understand_otherwise_is_refused(
    served: Served, echo: Echo, said: bytes
) -> None:
    client = await served.connect(said)
    status, headers, body = await client.read()
    assert (status, headers["content-type"], headers["connection"]) == (400, "application/problem+json", "close")
    problem = json.loads(body)
    assert (problem["type"], problem["request_id"]) == ("/problems/malformed-request", headers["x-request-id"])
    assert await client.is_closed()
    assert echo.bodies == []


@pytest.mark.parametrize("in_one", [True, False])
async def test_a_trailer_is_no_header(served: Served, echo: Echo, in_one: bool) -> None:
    trailers = b"Authorization: Bearer x\r\nContent-Type: text/plain\r\n\r\n"
    said = _post(CHUNKED, CHUNKS.removesuffix(b"\r\n") + trailers)
    client = await served.connect(said if in_one else said[:-60])
    if not in_one:
        await until(lambda: served.state.tasks)
        client.writer.write(said[-60:])
    assert (await client.read())[0] == 200
    assert echo.headers == [[b"host", b"content-type", b"transfer-encoding"]]


async def test_what_comes_at_once_is_answered_in_its_order(served: Served, echo: Echo) -> None:
    client = await served.connect(b"".join(_post(body=b"%d" % number) for number in range(50)))
    assert [(await client.read())[2] for _ in range(50)] == [b"%d" % number for number in range(50)]


async def test_what_is_in_hand_is_answered_before_what_is_no_http(served: Served, echo: Echo) -> None:
    client = await served.connect(_post(body=b"first") + _post(body=b"second") + b"\0\1 no HTTP\r\n\r\n")
    assert await client.statuses() == [200, 200]
    assert echo.bodies == [b"first", b"second"]


async def test_a_body_that_is_broken_is_a_400(served: Served, echo: Echo) -> None:
    client = await served.connect(_post(CHUNKED, b"5\r\nabcdefghij\r\n"))
    assert await client.statuses() == [400]
    await until(lambda: echo.gone)
    assert echo.bodies == []


async def _refuse_unread(scope: Scope, _receive: Receive, send: Send) -> None:
    await answer(send, 413, [(b"connection", b"close")] if scope["path"] == "/close" else [], b"too long")


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_a_body_that_never_ends_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    monkeypatch.setattr(http_protocol, "REST_TIMEOUT_S", 0.05)
    async with serving(_refuse_unread) as served:
        client = await served.connect(f"{method} / HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\nx".encode())
        assert (await client.read())[0] == 413
        client.writer.write(b"x")
        assert await client.is_closed()


async def test_a_body_that_ends_after_its_answer_is_passed_over() -> None:
    async with serving(_refuse_unread) as served:
        client = await served.connect(_post()[:-3])
        assert (await client.read())[0] == 413
        client.writer.write(BODY[-3:] + _post())
        assert (await client.read())[0] == 413


async def test_who_still_sends_can_read_why_it_was_refused() -> None:
    async with serving(_refuse_unread) as served:
        client = await served.connect(b"POST /close HTTP/1.1\r\nHost: x\r\nContent-Length: 50000000\r\n\r\n")
        for _ in range(500):
            client.writer.write(bytes(100_000))
            await client.writer.drain()  # a server that closed at once would reset the connection here
        assert (await client.read())[0] == 413
        assert await client.is_closed()


def _big(size: int) -> ASGIApp:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await answer(send, 200, [], bytes(size))

    return app


@pytest.mark.parametrize("by_system", [hasattr(socket, "TCP_USER_TIMEOUT"), False])
async def test_who_reads_nothing_is_cut_off(by_system: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "UNREAD_TIMEOUT_S", 0.1)
    if not by_system:
        monkeypatch.delattr(socket, "TCP_USER_TIMEOUT", raising=False)
    async with serving(_big(50_000_000)) as served:
        client = await served.connect(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await until(lambda: len(served.state.connections) == 1)
        await until(served.is_idle, 60)


class _Unread:
    """A transport with so many bytes left at each look."""

    def __init__(self, *left: int) -> None:
        self._left = iter(left)
        self.aborted = asyncio.Event()
        self.abort = self.aborted.set

    def get_write_buffer_size(self) -> int:
        return next(self._left)


async def test_who_reads_slowly_is_not_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "UNREAD_TIMEOUT_S", 0)
    monkeypatch.delattr(socket, "TCP_USER_TIMEOUT", raising=False)
    slow = _Unread(70, 69, 69, 30, 30, 30, 29)  # each round looks twice: whether it has moved, and where it is now
    limit = http_protocol.UnreadLimit(cast("asyncio.Transport", slow))
    limit.pause()
    await slow.aborted.wait()
    assert next(slow._left) == 29, "cut off at the first round without a byte, and no sooner"
    read = _Unread(70, 70)
    limit = http_protocol.UnreadLimit(cast("asyncio.Transport", read))
    limit.pause()
    limit.resume()
    await asyncio.sleep(0)
    assert not read.aborted.is_set()


async def _stream(_scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"first", "more_body": True})
    while (await receive())["type"] != "http.disconnect":
        pass


async def test_who_leaves_with_requests_in_hand_is_missed_by_the_first_of_them_too() -> None:
    async with serving(_stream) as served:
        client = await served.connect(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 3)
        await client.reader.readuntil(b"first")
        client.writer.transport.abort()
        await until(served.is_idle)


async def test_there_are_no_more_connections_than_leave_some_for_the_servers(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_protocol, "most_connections", lambda: 3)
    first, *_ = [await served.connect() for _ in range(3)]
    await until(lambda: len(served.state.connections) == 3)
    assert await (await served.connect()).statuses() == [503]
    first.writer.close()
    await until(lambda: len(served.state.connections) == 2)
    assert (await (await served.connect(_post())).read())[0] == 200
