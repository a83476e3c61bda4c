"""Requests that are refused before anything is asked: status, type, field, request id."""

import json

import pytest
from starlette.types import ASGIApp

from backend.api.app import create_app
from coffee_core.settings import Settings
from tests.unit.backend.api.asgi import JSON, VALID, Answer, ask

ORDER = json.dumps(VALID).encode()
KEY = "0190f5fe-7c1e-7abc-8def-0123456789ab"


def _problem(answer: Answer, status: int, name: str) -> dict[str, object]:
    problem = answer.json
    assert answer.status == problem["status"] == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["type"] == f"/problems/{name}"
    assert problem["title"]
    assert problem["detail"]
    assert problem["request_id"] == answer.headers["x-request-id"]
    return problem


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/json; charset=utf-8", "Application/JSON;charset=UTF-8"]
)
async def test_a_good_order_without_a_backend_is_unavailable(app: ASGIApp, content_type: str) -> None:
    for pipeline in ("v1", "v2", "v3"):
        answer = await ask(app, f"/api/{pipeline}/order", ORDER, [("content-type", content_type)])
        _problem(answer, 503, "unavailable")
        assert answer.headers["retry-after"] == "1"


@pytest.mark.parametrize(
    "headers", [[], [("content-type", "text/plain")], [("content-type", "application/jsonx")]]
)
async def test_another_content_type(app: ASGIApp, headers: list[tuple[str, str]]) -> None:
    _problem(await ask(app, "/api/v1/order", ORDER, headers), 415, "unsupported-media-type")


async def test_malformed_json(app: ASGIApp) -> None:
    _problem(await ask(app, "/api/v2/order", b"{"), 400, "malformed-json")


async def test_a_bad_field(app: ASGIApp) -> None:
    problem = _problem(await ask(app, "/api/v3/order", ORDER.replace(b"latte", b"tea")), 422, "invalid-field")
    assert problem["field"] == "drink"


async def test_a_long_body_is_refused_by_its_length_alone(app: ASGIApp) -> None:
    answer = await ask(app, "/api/v1/order", [], [JSON, ("content-length", "65537")])
    _problem(answer, 413, "body-too-large")


@pytest.mark.parametrize("parts", [[b" " * 65_537], [b" " * 40_000, b" " * 40_000]])
async def test_a_long_body_is_refused_also_where_its_length_is_not_said(app: ASGIApp, parts: list[bytes]) -> None:
    _problem(await ask(app, "/api/v1/order", parts), 413, "body-too-large")


async def test_a_body_of_64_kib_in_pieces_is_read(app: ASGIApp) -> None:
    padded = ORDER + b" " * (65_536 - len(ORDER))
    answer = await ask(app, "/api/v1/order", [padded[:50], padded[50:1000], padded[1000:]])
    _problem(answer, 503, "unavailable")


@pytest.mark.parametrize("key", [KEY, KEY.upper(), f'"{KEY}"', f" {KEY} "])
async def test_forms_of_an_idempotency_key(app: ASGIApp, key: str) -> None:
    _problem(await ask(app, "/api/v1/order", ORDER, [JSON, ("Idempotency-Key", key)]), 503, "unavailable")


@pytest.mark.parametrize("key", ["", "1", '"', f'"{KEY}', KEY[:-1], KEY + "0", KEY.replace("-", ""), "ä" * 36])
async def test_what_is_no_idempotency_key(app: ASGIApp, key: str) -> None:
    answer = await ask(app, "/api/v2/order", ORDER, [JSON, ("Idempotency-Key", key)])
    assert _problem(answer, 422, "invalid-field")["field"] == "Idempotency-Key"


async def test_two_different_idempotency_keys(app: ASGIApp) -> None:
    keys = [("Idempotency-Key", KEY), ("Idempotency-Key", KEY.replace("0190", "0191"))]
    answer = await ask(app, "/api/v2/order", ORDER, [JSON, *keys])
    assert _problem(answer, 422, "invalid-field")["field"] == "Idempotency-Key"


async def test_no_such_path(app: ASGIApp) -> None:
    for path in ("/", "/api/v9/order", "/api/v1/order/", "/readyz/v9"):
        _problem(await ask(app, path), 404, "not-found")


async def test_a_pipeline_that_is_not_running(settings: Settings) -> None:
    some = Settings.from_env({"COFFEE_HOME": str(settings.home), "COFFEE_PIPELINES": "v1,v2"})
    app = create_app(some, pytest.fail)
    _problem(await ask(app, "/api/v3/order", ORDER), 404, "pipeline-not-running")
    _problem(await ask(app, "/readyz/v3", method="GET"), 404, "pipeline-not-running")
    _problem(await ask(app, "/api/v2/order", ORDER), 503, "unavailable")


async def test_another_method(app: ASGIApp) -> None:
    answer = await ask(app, "/api/v1/order", method="GET")
    _problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize(("sent", "kept"), [("abc-123", True), ("a b", False), ("x" * 129, False)])
async def test_a_sane_request_id_is_kept(app: ASGIApp, sent: str, kept: bool) -> None:
    answer = await ask(app, "/livez", method="GET", headers=[("X-Request-Id", sent)])
    assert answer.status == 200
    assert (answer.headers["x-request-id"] == sent) is kept
