"""An order whose request comes in one piece passes by ASGI, and is answered and counted as by way of it."""

import asyncio
import contextlib
import json
import logging
import re
from collections.abc import AsyncIterator, Sequence
from collections.abc import Set as AbstractSet
from uuid import UUID

import pytest
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from backend import logs
from backend.api.admission import InFlight
from backend.api.answer_counters import AnswerCounts, RequestCounts
from backend.api.middleware import (
    SHORT_WAYS,
    BearerAuth,
    DirectRoutes,
    Observe,
    OriginCheck,
    ShortWay,
)
from backend.api.orders import OrderEndpoint, OrderSubmitter
from backend.api.parsing import MAX_BODY_BYTES
from backend.clients.counters import Counters
from backend.clients.health import Health
from backend.clients.tracing import CURRENT
from coffee_core.errors import KeyConflictError, OutcomeUnknownError, UnavailableError
from coffee_core.order import Order
from coffee_core.pipelines.constants import V2
from tests.unit.backend.api.asgi import VALID
from tests.unit.backend.api.serving import Connection, Served, serving
from tests.waiting import until

PATH = "/api/v2/order"
KEY = "0190f5fe-7c1e-7abc-8def-0123456789ab"
TOKEN = "correct horse battery staple"
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
GOOD = json.dumps(VALID).encode()
EVENT = json.dumps(
    {"specversion": "1.0", "id": "7", "source": "/tills/7", "type": "order", "data": VALID}
).encode()
_UUID = re.compile(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Ingest:
    """Takes every order, unless it is told to do something else."""

    def __init__(self) -> None:
        self.taken: list[Order] = []
        self.traces: list[str] = []
        self.log_contexts: list[dict[str, str]] = []
        self.error: Exception | None = None
        self.health = Health("nothing")
        self.open = asyncio.Event()
        self.open.set()

    async def submit(self, order: Order, keyed: bool) -> None:
        self.taken.append(order)
        self.traces.append(CURRENT.get())
        self.log_contexts.append(dict(logs.CONTEXT.get()))
        await self.open.wait()
        if self.error is not None:
            raise self.error

    async def submit_all(self, orders: Sequence[Order], keyed: AbstractSet[UUID]) -> None:
        raise NotImplementedError


class Api:
    """The application of one pipeline, and how many requests came to it through ASGI."""

    def __init__(self, token: str = "") -> None:
        self.ingest, self.in_flight, self.counters, self.through_asgi = Ingest(), InFlight(), Counters(), 0
        counts = RequestCounts(self.counters)
        answers = AnswerCounts(self.counters, V2)
        endpoint = OrderEndpoint(V2, OrderSubmitter(self.ingest), answers, self.in_flight)
        direct = DirectRoutes(self._nowhere, [Route(PATH, endpoint, methods=["POST"])])
        guard = BearerAuth(direct, token) if token else OriginCheck(direct, "127.0.0.1")
        self._app = Observe(guard, counts)
        self.state = {SHORT_WAYS: {PATH.encode(): ShortWay(PATH, endpoint, guard, counts, answers)}}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.through_asgi += 1
        await self._app(scope, receive, send)

    async def _nowhere(self, scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError(scope["path"])

    def counts(self) -> dict[str, float]:
        """Return what was counted, without how long it took."""
        return {
            name: value
            for name, value in self.counters.totals().items()
            if name.startswith(("requests", "answers")) and value
        }


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
async def served(api: Api) -> AsyncIterator[Served]:
    async with serving(api, api.state) as served:
        yield served


def _post(
    body: bytes = GOOD, *headers: str, content_type: str = "application/json", host: str = "127.0.0.1"
) -> bytes:
    lines = [f"POST {PATH} HTTP/1.1", f"Host: {host}", f"Content-Type: {content_type}", *headers]
    return "".join(f"{line}\r\n" for line in lines).encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body


async def _in_pieces(api: Api, connection: Connection, request: bytes) -> None:
    """Send the last byte only when the application has been handed the others."""
    before = api.through_asgi
    connection.writer.write(request[:-1])
    await until(lambda: api.through_asgi > before)
    connection.writer.write(request[-1:])


REQUESTS = {
    "an order": _post(),
    "with a key": _post(GOOD, f"Idempotency-Key: {KEY}"),
    "with an id of its own": _post(GOOD, "X-Request-ID: abc"),
    "with a bad id": _post(GOOD, "X-Request-ID: a b"),
    "with a trace": _post(GOOD, f"traceparent: {TRACE}"),
    "an event": _post(EVENT, content_type="application/cloudevents+json"),
    "for localhost": _post(host="localhost"),
    "no JSON": _post(b"{"),
    "a wrong field": _post(json.dumps(VALID | {"drink": "tea"}).encode()),
    "another type": _post(content_type="text/plain"),
    "a bad key": _post(GOOD, "Idempotency-Key: 7"),
    "for another server": _post(host="evil.example"),
    "too large": _post(b" " * (MAX_BODY_BYTES + 1)),
    "in a chunk": _post(b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    + b"%x\r\n%b\r\n0\r\n\r\n" % (len(GOOD), GOOD),
}
ERRORS = (
    None,
    UnavailableError("redis is down"),
    KeyConflictError(UUID(KEY)),
    OutcomeUnknownError("redis did not answer"),
    RuntimeError("a mistake"),
)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("name", REQUESTS)
async def test_both_ways_give_the_same_answer(name: str, error: Exception | None) -> None:
    ways: list[tuple[object, ...]] = []
    for whole in (True, False):
        api = Api()
        api.ingest.error = error
        async with serving(api, api.state) as served:
            connection = await served.connect()
            if whole:
                connection.writer.write(REQUESTS[name])
            else:
                await _in_pieces(api, connection, REQUESTS[name])
            status, headers, body = await connection.read()
            keeps_open = headers.get("connection") != "close"
            assert await connection.is_closed() if not keeps_open else not connection.reader.at_eof()
            await until(served.is_at_rest)
            if name != "too large":  # the system may have cut it in two itself
                assert api.through_asgi == (0 if whole and name != "for another server" else 1)
        request_id = headers.pop("x-request-id").encode()
        assert (request_id == b"abc") == (name == "with an id of its own")
        given = [context["request_id"].encode() for context in api.ingest.log_contexts]
        assert given == [request_id] * len(api.ingest.taken)
        ways.append(
            (
                *(status, {name: _UUID.sub(b"ID", value.encode()) for name, value in headers.items()}),
                *(_UUID.sub(b"ID", body.replace(request_id, b"REQUEST")), keeps_open, api.counts()),
                *(api.ingest.traces, [order.content for order in api.ingest.taken], api.in_flight.weight),
            )
        )
    short, long = ways
    # Only the head of a long answer says its length last.
    assert short == long


async def test_orders_sent_without_waiting_are_answered_in_their_order(api: Api, served: Served) -> None:
    connection = await served.connect(_post() + _post(b"{") + _post(GOOD, f"Idempotency-Key: {KEY}"))
    answers = [await connection.read() for _ in range(3)]
    assert [status for status, _, _ in answers] == [202, 400, 202]
    assert KEY.encode() in answers[2][2]
    assert len(api.ingest.taken) == 2


async def test_a_server_that_stops_answers_what_it_has_and_closes(api: Api, served: Served) -> None:
    api.ingest.open.clear()
    connection = await served.connect(_post())
    await until(lambda: bool(api.ingest.taken))
    (protocol,) = served.state.connections
    protocol.shutdown()
    api.ingest.open.set()
    status, headers, _ = await connection.read()
    assert (status, headers["connection"]) == (202, "close")
    assert await connection.is_closed()


async def test_an_order_is_taken_whose_client_has_gone(
    api: Api, served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    api.ingest.open.clear()
    connection = await served.connect(_post())
    await until(lambda: bool(api.ingest.taken))
    connection.writer.close()
    await until(lambda: not served.state.connections)
    api.ingest.open.set()
    await until(lambda: not served.state.tasks)
    assert api.counts() == {f"answers {V2} 202": 1, f"requests POST 202 {PATH}": 1}
    assert api.in_flight.weight == 0
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_the_gauge_counts_an_order_while_it_is_being_taken(api: Api, served: Served) -> None:
    def in_flight() -> float:
        return sum(numbers["in flight"] for numbers in api.counters.living().values())

    api.ingest.open.clear()
    connection = await served.connect(_post())
    await until(lambda: bool(api.ingest.taken))
    assert (in_flight(), api.in_flight.weight) == (1, 1)
    api.ingest.open.set()
    await connection.read()
    assert (in_flight(), api.in_flight.weight) == (0, 0)


@pytest.mark.parametrize(
    ("given", "status"),
    [((), 401), (("Authorization: Bearer x",), 401), ((f"Authorization: Bearer {TOKEN}",), 202)],
)
async def test_a_token_is_asked_for_on_both_ways(given: Sequence[str], status: int) -> None:
    api = Api(TOKEN)
    async with serving(api, api.state) as served:
        for whole in (True, False):
            connection = await served.connect()
            if whole:
                connection.writer.write(_post(GOOD, *given, host="evil.example"))
            else:
                await _in_pieces(api, connection, _post(GOOD, *given, host="evil.example"))
            assert (await connection.read())[0] == status


@pytest.mark.parametrize(
    "request_",
    [
        _post(GOOD, "Expect: 100-continue"),
        _post(GOOD, "Connection: close"),
        _post().replace(b"HTTP/1.1", b"HTTP/1.0"),
        _post().replace(PATH.encode(), PATH.encode() + b"?a=1"),
    ],
)
async def test_what_is_not_plain_goes_through_asgi(api: Api, served: Served, request_: bytes) -> None:
    connection = await served.connect(request_)
    with contextlib.suppress(asyncio.IncompleteReadError):
        status, _, _ = await connection.read()
        status = status if status != 100 else (await connection.read())[0]
    assert (status, api.through_asgi) == (202, 1)
