"""`coffee-tui --web`: the same dashboard over a websocket, for pages of its own alone; nothing outlives it."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType, WSServerHandshakeError

from coffee_core.runstate import alive
from tests.servers import free_port
from tests.waiting import until


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A server of the demo, and the address that it says it has."""
    port = str(free_port())
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "coffee_tui", "--web", "--demo", "--port", port),
        env={**os.environ, "XDG_CONFIG_HOME": str(tmp_path), "PYTHONUNBUFFERED": "1"},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        line = (await asyncio.wait_for(process.stdout.readline(), 60)).decode()
        assert line.startswith(f"the dashboard is at http://127.0.0.1:{port} ")
        yield process, line.split()[4]
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _read_until(socket: ClientWebSocketResponse, words: bytes) -> None:
    seen = b""
    async with asyncio.timeout(60):
        async for message in socket:
            if message.type is WSMsgType.BINARY:
                seen += message.data
            if words in seen:
                return
    raise AssertionError(f"the page was closed before {words!r}")


async def test_a_page_has_a_dashboard_and_takes_keys_and_clicks(
    server: tuple[asyncio.subprocess.Process, str],
) -> None:
    process, url = server
    async with ClientSession() as session:
        async with session.get(url) as page:
            text = await page.text()
        assert page.status == 200
        assert "http://" not in text.replace(url, ""), "nothing is fetched from anywhere else"
        assert "https://" not in text
        async with session.ws_connect(f"{url}/ws?width=120&height=40", headers={"Origin": url}) as socket:
            await _read_until(socket, b"How late is the dashboard?")
            await socket.send_json(["stdin", "?"])
            await _read_until(socket, b"one order into each")
            await socket.send_json(["stdin", "q"])
            await _read_until(socket, b"How late is the dashboard?")
            await socket.send_json(["stdin", "\x1b[<0;30;37M\x1b[<0;30;37m"])
            await _read_until(socket, b"begins")
            dashboards = psutil.Process(process.pid).children(recursive=True)
            assert len(dashboards) == 1
        await until(lambda: not alive(dashboards[0].pid))


async def test_another_site_and_another_name_are_refused(server: tuple[asyncio.subprocess.Process, str]) -> None:
    _, url = server
    async with ClientSession() as session:
        async with session.get(url, headers={"Host": "evil.example"}) as answer:
            assert answer.status == 403
        with pytest.raises(WSServerHandshakeError) as refused:
            await session.ws_connect(f"{url}/ws", headers={"Origin": "http://evil.example"})
    assert refused.value.status == 403


async def test_a_killed_server_leaves_no_dashboard(server: tuple[asyncio.subprocess.Process, str]) -> None:
    process, url = server
    async with ClientSession() as session, session.ws_connect(f"{url}/ws") as socket:
        await _read_until(socket, b"How late is the dashboard?")
        dashboards = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGKILL)
        await process.wait()
        await until(lambda: not any(each.is_running() for each in dashboards))


async def test_a_taken_port_is_one_clear_line(server: tuple[asyncio.subprocess.Process, str]) -> None:
    _, url = server
    second = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "coffee_tui", "--web", "--demo", "--port", url.rpartition(":")[2]),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, wrong = await asyncio.wait_for(second.communicate(), 60)
    assert (second.returncode, output) == (1, b"")
    assert b"choose another --port" in wrong
    assert len(wrong.splitlines()) == 1


@pytest.mark.parametrize(
    ("guarded", "warning"),
    [((), b"not loopback: whoever reaches it can send orders and break this stack\n"), (("--port-guarded",), b"")],
)
async def test_beyond_loopback_it_warns_unless_the_port_is_guarded(
    tmp_path: Path, guarded: tuple[str, ...], warning: bytes
) -> None:
    address = ("--host", "0.0.0.0", "--port", str(free_port()), *guarded)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "coffee_tui", "--web", "--demo", *address),
        env={**os.environ, "XDG_CONFIG_HOME": str(tmp_path), "PYTHONUNBUFFERED": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert await asyncio.wait_for(process.stdout.readline(), 60)
    process.terminate()
    _, errors = await process.communicate()
    assert errors == warning
