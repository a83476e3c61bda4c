"""The lean client makes of every kind of answer what the other one makes of it."""

import asyncio
import time

import pytest
from aiohttp import web

from backend.lab.bench.load_clients import LeanSender
from coffee_core.load.orders import Attempt, OrderMix, RandomOrders
from coffee_core.load.sender import Sender
from coffee_core.load.statistics import Answer, Outcome
from coffee_core.pipelines.constants import V2
from tests.servers import free_port
from tests.unit.coffee_core.load.peer import answering, hang_up, never, peer


def attempt() -> Attempt:
    return RandomOrders(OrderMix(malformed=0), seed=1, start_us=1_700_000_000_000_000).next(V2)


async def lean(url: str, timeout_s: float = 5.0) -> Answer:
    async with LeanSender(url, timeout_s=timeout_s, authorization={"Authorization": "Bearer x"}) as sender:
        return await sender.send(attempt(), time.monotonic())


async def usual(url: str, timeout_s: float = 5.0) -> Answer:
    async with Sender(url, timeout_s=timeout_s, authorization={"Authorization": "Bearer x"}) as sender:
        return await sender.send(attempt(), time.monotonic())


@pytest.mark.parametrize("status", [201, 202, 400, 409, 422, 500, 503, 504])
async def test_an_answer_is_what_the_other_client_says(status: int) -> None:
    async with peer(answering(status, {"title": "No", "detail": "because"})) as url:
        ours, theirs = await lean(url), await usual(url)
    assert (ours.outcome, ours.status, ours.reason) == (theirs.outcome, theirs.status, theirs.reason)


async def test_the_request_is_the_same() -> None:
    seen: list[tuple[str, bytes, dict[str, str]]] = []

    async def note(request: web.Request) -> web.StreamResponse:
        names = ("Content-Type", "Idempotency-Key", "Authorization", "Host")
        seen.append((request.path, await request.read(), {name: request.headers[name] for name in names}))
        return web.json_response({}, status=202)

    async with peer(note) as url:
        await lean(url)
        await usual(url)
    assert seen[0] == seen[1]


async def test_connections_are_kept_and_shared() -> None:
    peers: set[object] = set()

    async def note(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        peers.add(request.transport.get_extra_info("peername"))
        return web.json_response({}, status=202)

    async with peer(note) as url, LeanSender(url, timeout_s=5) as sender:
        for _ in range(3):
            answers = await asyncio.gather(*(sender.send(attempt()) for _ in range(4)))
            assert all(answer.outcome is Outcome.ACKNOWLEDGED for answer in answers)
    assert len(peers) == 4


async def test_a_connection_that_is_to_be_closed_is_not_used_again() -> None:
    async def last(_: web.Request) -> web.StreamResponse:
        return web.json_response({}, status=202, headers={"Connection": "close"})

    async with peer(last) as url, LeanSender(url, timeout_s=5) as sender:
        for _ in range(3):
            assert (await sender.send(attempt())).outcome is Outcome.ACKNOWLEDGED


async def test_no_answer_in_time_is_unknown() -> None:
    async with peer(never) as url:
        answer = await lean(url, timeout_s=0.2)
    assert (answer.outcome, answer.status, answer.reason) == (Outcome.UNKNOWN, None, "no answer within 0.2 s")


async def test_a_lost_connection_is_unknown() -> None:
    async with peer(hang_up) as url:
        answer = await lean(url)
    assert (answer.outcome, answer.status) == (Outcome.UNKNOWN, None)
    assert "connection lost" in answer.reason


async def test_where_nobody_listens_the_order_is_certainly_nowhere() -> None:
    answer = await lean(f"http://127.0.0.1:{free_port()}")
    assert (answer.outcome, answer.status) == (Outcome.REFUSED, None)
    assert "no connection" in answer.reason


async def test_an_answer_that_is_no_json_is_still_an_outcome() -> None:
    async def page(_: web.Request) -> web.StreamResponse:
        return web.Response(status=502, text="<html>bad gateway</html>")

    async with peer(page) as url:
        answer = await lean(url)
    assert (answer.outcome, answer.reason) == (Outcome.UNKNOWN, "HTTP 502")
