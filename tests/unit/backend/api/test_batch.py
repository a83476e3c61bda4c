"""Batches that are refused before anything is asked, and how the others are read."""

import json
from typing import Any

import pytest
from starlette.types import ASGIApp, Message

from backend.api.parsing import Batch, read_batch
from tests.unit.backend.api.asgi import JSON, VALID, ask

KEY = "0190f5fe-7c1e-7abc-8def-0123456789ab"
NDJSON = ("content-type", "application/x-ndjson")


async def _read(body: bytes, content_type: bytes = b"application/json") -> Batch:
    async def receive() -> Message:
        return {"type": "http.request", "body": body}

    return await read_batch({"headers": [(b"content-type", content_type)]}, receive)


async def test_an_array_and_lines_are_read_alike() -> None:
    orders = [VALID, {**VALID, "message_id": KEY}, {**VALID, "idempotency_key": KEY.upper()}]
    for body, content_type in (
        (json.dumps(orders).encode(), b"application/json"),
        ("\r\n".join(map(json.dumps, orders)).encode() + b"\n", b"application/x-ndjson; charset=utf-8"),
    ):
        batch = await _read(body, content_type)
        assert len(batch.message_ids) == 3
        assert len(batch.distinct) == 2, "the third is the second again"
        assert {str(key) for key in batch.keyed} == {KEY}
        assert batch.message_ids[1] == batch.message_ids[2]
        assert batch.message_ids[0].version == 7


async def _refused(
    app: ASGIApp, body: bytes, status: int, name: str, header: tuple[str, str] = JSON
) -> dict[str, Any]:
    answer = await ask(app, "/api/v2/orders", body, [header])
    assert (answer.status, answer.json["type"]) == (status, f"/problems/{name}")
    return answer.json


@pytest.mark.parametrize(
    ("item", "field"),
    [
        ({**VALID, "drink": "tea"}, "drink"),
        ({**VALID, "message_id": "x"}, "message_id"),
        ({**VALID, "idempotency_key": None}, "idempotency_key"),
        ({**VALID, "message_id": KEY, "idempotency_key": KEY}, "idempotency_key"),
        ({**VALID, "size": 1}, "size"),
        ([], None),
    ],
)
async def test_a_bad_order_is_named_by_its_place(app: ASGIApp, item: object, field: str | None) -> None:
    orders = [VALID, VALID, item, VALID]
    problem = await _refused(app, json.dumps(orders).encode(), 422, "invalid-field")
    assert (problem["index"], problem.get("field")) == (2, field)
    lines = "\n".join(map(json.dumps, orders)).encode()
    assert (await _refused(app, lines, 422, "invalid-field", NDJSON))["index"] == 2


async def test_one_key_for_two_orders_of_a_batch_is_a_conflict(app: ASGIApp) -> None:
    orders = [{**VALID, "message_id": KEY}, {**VALID, "message_id": KEY, "price": 4.0}]
    problem = await _refused(app, json.dumps(orders).encode(), 422, "key-conflict")
    assert problem["index"] == 1


async def test_what_is_no_batch(app: ASGIApp) -> None:
    await _refused(app, b"[", 400, "malformed-json")
    await _refused(app, b"[" * 60_000, 400, "malformed-json")
    await _refused(app, json.dumps(VALID).encode(), 422, "invalid-field")
    await _refused(app, b"[]", 422, "invalid-field")
    await _refused(app, b"\n\n", 422, "invalid-field", NDJSON)
    await _refused(app, b"{\n}", 400, "malformed-json", NDJSON)
    await _refused(app, b"[]", 415, "unsupported-media-type", ("content-type", "text/csv"))


async def test_a_thousand_and_one_are_too_many(app: ASGIApp) -> None:
    await _refused(app, json.dumps([VALID] * 1001).encode(), 413, "body-too-large")
    await _refused(app, json.dumps([VALID] * 1000).encode(), 503, "unavailable")
    await _refused(app, b" " * (1024 * 1024 + 1), 413, "body-too-large")


async def test_a_batch_has_no_key_of_its_own(app: ASGIApp) -> None:
    answer = await ask(app, "/api/v1/orders", b"[]", [JSON, ("Idempotency-Key", KEY)])
    assert (answer.status, answer.json["field"]) == (422, "Idempotency-Key")
