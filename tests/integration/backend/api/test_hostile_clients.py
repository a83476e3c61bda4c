"""Clients that are slow, long-winded or lost: cut off, while others are served."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.backend.api.process import Api, running
from tests.waiting import until

HEAD = b"POST /api/v2/order HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.fixture
async def api(tmp_path: Path, redis_url: str) -> AsyncIterator[Api]:
    async with running(tmp_path, REDIS_URL=redis_url, COFFEE_PIPELINES="v2") as api:
        await until(lambda: api.is_ready("v2"))
        yield api


async def _say(api: Api, data: bytes) -> bytes:
    """Send these bytes and nothing more; return what comes until the API closes."""
    host, _, port = api.base_url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(data)
        async with asyncio.timeout(60):
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def test_slow_headers_and_slow_bodies_are_cut_off_while_others_are_served(api: Api) -> None:
    slow = [_say(api, b""), _say(api, HEAD), _say(api, HEAD + b"Content-Length: 90\r\n\r\n{")]
    waiting = asyncio.gather(*slow, *(_say(api, HEAD + b"Content-Length: 90\r\n\r\n") for _ in range(100)))
    for _ in range(50):
        assert (await api.order("v2"))[0] == 202
    assert not waiting.done()
    silent, headers, *bodies = await waiting
    assert (silent, headers) == (b"", b"")
    for said in bodies:
        assert said.startswith(b"HTTP/1.1 408 ")
        assert b"/problems/request-timeout" in said


async def test_500_slow_connections_keep_no_honest_client_waiting(api: Api) -> None:
    slow = [_say(api, start) for start in (HEAD, HEAD + b"Content-Length: 90\r\n\r\n{") for _ in range(250)]
    waiting = asyncio.gather(*slow)
    answers = await asyncio.gather(*(api.order("v2") for _ in range(200)))
    assert {status for status, _ in answers} == {202}
    assert not waiting.done()
    said = await waiting
    assert {each[:13] for each in said} == {b"", b"HTTP/1.1 408 "}


@pytest.mark.parametrize(
    "headers",
    [b"X: " + b"x" * 40_000, b"X: x\r\n" * 200, b"\r\n".join(b"X%d: %s" % (n, b"x" * 1000) for n in range(50))],
    ids=["one long", "many", "long together"],
)
async def test_too_many_headers_are_refused(api: Api, headers: bytes) -> None:
    for end in (b"\r\n\r\n", b""):
        said = await _say(api, HEAD + headers + end)
        assert said.startswith(b"HTTP/1.1 431 ")
        assert b"/problems/headers-too-large" in said
    assert (await api.order("v2"))[0] == 202


UPGRADE = (
    b"GET /ws/dashboard HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
)


async def test_nothing_is_unpacked(api: Api) -> None:
    host, _, port = api.base_url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(UPGRADE)
    async with asyncio.timeout(60):
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ")
        assert b"permessage-deflate" not in head.lower()
        writer.write(b"\xc1\x81\0\0\0\0x")  # a message that says it is packed
        assert b"keepalive" not in await reader.read()  # it was closed for that
    writer.close()
    status, problem = await api.order("v2", headers={"Content-Encoding": "gzip"})
    assert (status, problem["type"]) == (415, "/problems/unsupported-media-type")
    assert (await api.order("v2", headers={"Content-Encoding": "identity"}))[0] == 202


async def test_an_event_stream_that_is_only_asked_about_ends(api: Api) -> None:
    said = await _say(api, b"HEAD /api/events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 200 ")
    assert b"content-type: text/event-stream" in said
    assert said.endswith(b"\r\n\r\n")


async def test_what_is_no_http_is_refused(api: Api) -> None:
    assert (await _say(api, b"\x16\x03\x01\x02\x00\x01")).startswith(b"HTTP/1.1 400 ")
