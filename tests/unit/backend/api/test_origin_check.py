"""No page of another site, whatever name it has made up for 127.0.0.1, reaches anything without a token."""

from pathlib import Path

import pytest
from starlette.types import ASGIApp

from backend.api.app import create_app
from coffee_core.settings import Settings
from tests.unit.backend.api.asgi import JSON, ask
from tests.unit.backend.api.serving import serving
from tests.waiting import until

OURS = ("localhost", "localhost:8005", "LOCALHOST:8005", "127.0.0.1:8005", "[::1]:8005")
OTHERS = ("evil.example", "evil.example:8005", "127.0.0.1.evil.example", "10.1.2.3", "[", "ä")
UPGRADE = (
    "GET /ws/dashboard HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


def _app(home: Path, **environ: str) -> ASGIApp:
    return create_app(Settings.from_env({"COFFEE_HOME": str(home), **environ}), pytest.fail)


async def _status(app: ASGIApp, host: str, path: str = "/api/v1/order") -> int:
    return (await ask(app, path, b"{", [JSON, ("Host", host)])).status


@pytest.mark.parametrize("host", OURS)
async def test_the_loopback_has_names(app: ASGIApp, host: str) -> None:
    assert [await _status(app, host) for _ in range(2)] == [400, 400]  # read, and no order


@pytest.mark.parametrize("host", OTHERS)
async def test_another_name_of_the_loopback_is_refused(app: ASGIApp, host: str) -> None:
    answer = await ask(app, "/api/v1/order", b"{", [JSON, ("Host", host)])
    assert (answer.status, answer.json["type"]) == (421, "/problems/misdirected-request")
    assert (await ask(app, "/api/dashboard", headers=[("Host", host)], method="GET")).status == 421


async def test_with_a_token_or_on_another_address_any_name_will_do(tmp_path: Path) -> None:
    assert await _status(_app(tmp_path, COFFEE_API_TOKEN="t"), "coffee.example") == 401
    assert await _status(_app(tmp_path, COFFEE_HOST="0.0.0.0"), "coffee.example") == 400


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("localhost:8005", None, 101),
        ("localhost:8005", "http://localhost:8005", 101),
        ("127.0.0.1:8005", "https://127.0.0.1:8005", 101),
        ("localhost:8005", "https://evil.example", 403),
        ("localhost:8005", "http://localhost:3000", 403),
        ("localhost:8005", "null", 403),
        ("evil.example:8005", "http://evil.example:8005", 403),
    ],
)
async def test_a_websocket_is_for_pages_of_this_site(
    app: ASGIApp, host: str, origin: str | None, status: int
) -> None:
    headers = f"Host: {host}\r\n" + ("" if origin is None else f"Origin: {origin}\r\n")
    async with serving(app) as served:
        client = await served.connect((UPGRADE + headers + "\r\n").encode())
        assert (await client.read())[0] == status
        client.writer.close()
        await until(served.is_idle)
