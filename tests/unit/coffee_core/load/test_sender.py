"""What the sender makes of every kind of answer, and of none."""

import json
import time

import pytest
from aiohttp import web

from coffee_core.load.orders import OrderMix, RandomOrders
from coffee_core.load.sender import Sender
from coffee_core.load.statistics import Answer, Outcome
from coffee_core.pipelines.constants import V2
from tests.servers import free_port
from tests.unit.coffee_core.load.peer import answering, hang_up, never, peer

ID = "0190f5fe-7c1e-7abc-8def-0123456789ab"


async def _send(url: str, timeout_s: float = 5.0, ago_s: float = 0.0) -> Answer:
    attempt = RandomOrders(OrderMix(malformed=0), seed=1).next(V2)
    async with Sender(url, timeout_s=timeout_s) as sender:
        return await sender.send(attempt, time.monotonic() - ago_s)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (201, Outcome.ACKNOWLEDGED),
        (202, Outcome.ACKNOWLEDGED),
        (400, Outcome.REJECTED),
        (422, Outcome.REJECTED),
        (503, Outcome.REFUSED),
        (504, Outcome.UNKNOWN),
        (500, Outcome.UNKNOWN),
        (502, Outcome.UNKNOWN),
    ],
)
async def test_a_status_is_an_outcome(status: int, outcome: Outcome) -> None:
    async with peer(answering(status, {"message_id": ID, "title": "No", "detail": "because"})) as url:
        answer = await _send(url)
    assert (answer.outcome, answer.status, answer.message_id) == (outcome, status, ID)
    assert answer.reason == ("" if outcome is Outcome.ACKNOWLEDGED else "No: because")


async def test_the_request_is_what_the_attempt_says() -> None:
    seen: list[tuple[str, str | None, str | None, bytes]] = []

    async def note(request: web.Request) -> web.StreamResponse:
        seen.append(
            (
                request.path,
                request.headers.get("Idempotency-Key"),
                request.headers.get("Content-Type"),
                await request.read(),
            )
        )
        return web.json_response({}, status=202)

    async with peer(note) as url:
        attempt = (await _send(url)).attempt
    assert seen == [("/api/v2/order", str(attempt.key), "application/json", attempt.body)]
    assert json.loads(attempt.body)["drink"] == attempt.drink


async def test_no_answer_in_time_is_unknown() -> None:
    async with peer(never) as url:
        answer = await _send(url, timeout_s=0.2)
    assert (answer.outcome, answer.status) == (Outcome.UNKNOWN, None)
    assert "no answer within 0.2 s" in answer.reason


async def test_a_lost_connection_is_unknown() -> None:
    async with peer(hang_up) as url:
        answer = await _send(url)
    assert (answer.outcome, answer.status) == (Outcome.UNKNOWN, None)
    assert "connection lost" in answer.reason


async def test_where_nobody_listens_the_order_is_certainly_nowhere() -> None:
    answer = await _send(f"http://127.0.0.1:{free_port()}")
    assert (answer.outcome, answer.status) == (Outcome.REFUSED, None)


async def test_latency_begins_at_the_intended_time() -> None:
    async with peer(answering(202, {})) as url:
        answer = await _send(url, ago_s=3)
    assert answer.latency_us > 3_000_000


async def test_an_answer_that_is_no_json_is_still_an_outcome() -> None:
    async def page(_: web.Request) -> web.StreamResponse:
        return web.Response(status=502, text="<html>bad gateway</html>")

    async with peer(page) as url:
        answer = await _send(url)
    assert (answer.outcome, answer.reason) == (Outcome.UNKNOWN, "HTTP 502")
