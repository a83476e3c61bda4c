"""Room and token: refused at once, fairly, and with nothing said of the secret."""

import contextlib
from pathlib import Path
from typing import Any

import pytest
from starlette.types import ASGIApp, Message

from backend.api.admission import BATCH_WEIGHT, HOLD, MAX_IN_FLIGHT, InFlight
from backend.api.app import create_app
from backend.api.problems import ProblemError
from coffee_core.settings import Settings
from tests.unit.backend.api.asgi import JSON, VALID, ask

TOKEN = "correct horse battery staple"


def _scope(client: str) -> dict[str, Any]:
    return {"client": (client, 1)}


def _fill(in_flight: InFlight, client: str) -> tuple[int, str]:
    """Enter as often as one may; return how often, and the kind of the refusal."""
    for count in range(MAX_IN_FLIGHT + 1):
        try:
            in_flight.enter(_scope(client), 1)
        except ProblemError as problem:
            return count, problem.type.name
    raise AssertionError("there is no end")


def test_one_client_leaves_room_for_another() -> None:
    in_flight = InFlight()
    count, kind = _fill(in_flight, "a")
    assert (count, kind) == (MAX_IN_FLIGHT * 7 // 8, "too-many-requests")
    other, kind = _fill(in_flight, "b")
    assert (other, kind) == (MAX_IN_FLIGHT // 8, "overloaded")
    for _ in range(count):
        in_flight.leave("a", 1)
    assert in_flight.weight == other
    more, kind = _fill(in_flight, "b")
    assert (other + more, kind) == (MAX_IN_FLIGHT * 7 // 8, "too-many-requests")


def test_who_is_refused_is_held() -> None:
    in_flight, held = InFlight(), []
    _fill(in_flight, "a")
    for client in ("a", "b"):
        scope = {**_scope(client), HOLD: lambda client=client: held.append(client)}
        with contextlib.suppress(ProblemError):
            in_flight.enter(scope, 1)
    assert held == ["a"]


def test_what_has_left_is_forgotten() -> None:
    in_flight = InFlight()
    for number in range(1000):
        in_flight.leave(in_flight.enter(_scope(f"10.0.0.{number}"), BATCH_WEIGHT), BATCH_WEIGHT)
    assert (in_flight.weight, len(in_flight._by_client)) == (0, 0)


@pytest.fixture
def guarded(tmp_path: Path) -> ASGIApp:
    settings = Settings.from_env({"COFFEE_HOME": str(tmp_path), "COFFEE_API_TOKEN": TOKEN})
    assert TOKEN not in repr(settings)
    return create_app(settings, pytest.fail)


@pytest.mark.parametrize(
    "given", [None, "", "Bearer", "Bearer x", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", "Bearer ä"]
)
@pytest.mark.parametrize(
    "path", ["/api/v1/order", "/api/v2/orders", "/api/v1/order/x", "/api/dashboard", "/api/lab", "/metrics"]
)
async def test_without_the_token_there_is_nothing(guarded: ASGIApp, path: str, given: str | None) -> None:
    headers = [JSON] if given is None else [JSON, ("Authorization", given)]
    answer = await ask(guarded, path, b"{", headers, method="POST" if "order" in path else "GET")
    assert (answer.status, answer.json["type"]) == (401, "/problems/unauthorized")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert TOKEN.encode() not in answer.body


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
async def test_with_the_token_everything_is_as_ever(guarded: ASGIApp, scheme: str) -> None:
    answer = await ask(guarded, "/api/v1/order", b"{", [JSON, ("Authorization", f"{scheme} {TOKEN}")])
    assert answer.status == 400


@pytest.mark.parametrize("path", ["/livez", "/docs", "/openapi.json", "/problems/unauthorized"])
async def test_what_says_nothing_of_orders_is_open(guarded: ASGIApp, path: str) -> None:
    assert (await ask(guarded, path, method="GET")).status == 200


async def test_a_websocket_without_the_token_is_closed(guarded: ASGIApp) -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await guarded({"type": "websocket", "path": "/ws/dashboard", "headers": []}, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1008}]


async def test_no_page_of_another_origin_may_read_or_write(app: ASGIApp) -> None:
    headers = [JSON, ("Origin", "https://evil.example"), ("Access-Control-Request-Method", "POST")]
    for method in ("OPTIONS", "POST"):
        answer = await ask(app, "/api/v1/order", b"{}", headers, method=method)
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert answer.status >= 400
    # What a page may send without asking is no order.
    assert (await ask(app, "/api/v1/order", str(VALID).encode(), [("content-type", "text/plain")])).status == 415
