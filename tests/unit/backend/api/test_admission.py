"""Admission: what is not admitted is refused before anything is done for it, in the same words as after it."""

import asyncio
import gc
import json
import socket
import struct
from typing import Self

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from uvicorn.server import ServerState

from backend.api import http_protocol
from backend.api.admission import ADMISSIONS, MAX_IN_FLIGHT, Admission, InFlight
from backend.api.answer_counters import AnswerCounts, RequestCounts, statuses
from backend.api.http_protocol import LimitedProtocol
from backend.api.problems import answer
from backend.clients.counters import Counters
from coffee_core.pipelines.constants import V2
from tests.waiting import until

PATH = "/api/v2/order"
HEAD = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"


class Served:
    """The protocol on a real socket, with admission before an application that says 202."""

    def __init__(self) -> None:
        self.in_flight, self.counters = InFlight(), Counters()
        answers = AnswerCounts(self.counters, V2)
        self.admission = Admission(PATH, self.in_flight, 1, answers, RequestCounts(self.counters))
        self.asked = 0
        self.state = ServerState()

    async def __aenter__(self) -> Self:
        config = uvicorn.Config(self._application, interface="asgi3", ws="none", lifespan="off", log_config=None)
        admissions = {ADMISSIONS: {PATH.encode(): self.admission}}
        self._server = await asyncio.get_running_loop().create_server(
            lambda: LimitedProtocol(config, self.state, admissions), "127.0.0.1", 0
        )
        port = self._server.sockets[0].getsockname()[1]
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for connection in list(self.state.connections):
            connection.shutdown()
        await until(lambda: not self.state.connections and not self.state.tasks)
        self._writer.close()
        await self._server.wait_closed()

    def fill(self) -> None:
        """Let others take all the room."""
        for number in range(MAX_IN_FLIGHT):
            self.in_flight.enter({"client": (str(number), 1)}, 1)

    def write(self, text: str) -> None:
        self._writer.write(text.encode())

    def reset(self) -> None:
        """Break the connection off, as a client that crashes."""
        linger = struct.pack("ii", 1, 0)
        self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._writer.transport.abort()

    async def read(self) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body of the next answer."""
        async with asyncio.timeout(30):
            first, *lines = (await self._reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
            headers = dict(line.split(": ", 1) for line in lines)
            body = await self._reader.readexactly(int(headers["content-length"]))
        return int(first.split(" ")[1]), headers, body

    async def _application(self, _scope: Scope, receive: Receive, send: Send) -> None:
        self.asked += 1
        await receive()
        await answer(send, 202, [], b"")


@pytest.fixture(autouse=True)
def short_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "HOLD_S", 0.01)


async def test_a_full_room_refuses_before_the_application_is_asked() -> None:
    async with Served() as served:
        served.fill()
        served.write(HEAD + "X-Request-Id: abc\r\n\r\n12345")
        status, headers, body = await served.read()
        problem = json.loads(body)
        assert (status, problem["status"], problem["type"]) == (503, 503, "/problems/overloaded")
        assert (problem["request_id"], headers["x-request-id"]) == ("abc", "abc")
        assert (headers["content-type"], headers["retry-after"]) == ("application/problem+json", "1")
        assert served.asked == 0
        counted = served.counters.totals()
        assert statuses(counted, V2) == {"503": 1}
        assert counted["requests POST 503 /api/v2/order"] == 1


async def test_a_refusal_leaves_one_clock_that_ends_an_idle_connection() -> None:
    async with Served() as served:
        served.fill()
        for parts in (["12345"], ["12", "345"]):
            served.write(HEAD + "\r\n" + parts[0])
            assert (await served.read())[0] == 503
            for part in parts[1:]:
                served.write(part)
            await until(lambda: _idle_clocks() == 1)


async def test_line_ends_after_an_answer_leave_the_clock_that_ends_an_idle_connection() -> None:
    async with Served() as served:
        served.write(HEAD + "\r\n12345")
        assert (await served.read())[0] == 202
        await until(lambda: _idle_clocks() == 1)
        served.write("\r\n")
        # Taken in, and passed over: the connection is idle as before.
        await asyncio.sleep(0.05)
        assert _idle_clocks() == 1
        served.write(HEAD + "\r\n12345")
        assert (await served.read())[0] == 202


async def test_a_connection_that_is_reset_leaves_no_clock() -> None:
    async with Served() as served:
        served.write(HEAD + "\r\n12345")
        assert (await served.read())[0] == 202
        await until(lambda: _idle_clocks() == 1)
        served.reset()
        await until(lambda: _idle_clocks() == 0)


def _idle_clocks() -> int:
    waiting = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
    return sum("timeout_keep_alive_handler" in repr(each) for each in waiting if not each.cancelled())


async def test_the_connection_goes_on_and_the_rest_of_the_body_is_passed_over() -> None:
    async with Served() as served:
        served.fill()
        served.write(HEAD + "\r\n12")
        assert (await served.read())[0] == 503
        served.in_flight.leave("0", 1)
        served.write("345" + HEAD + "\r\n12345")
        assert ((await served.read())[0], served.asked) == (202, 1)


@pytest.mark.parametrize("special", ["Expect: 100-continue\r\n", "Connection: close\r\n"])
async def test_what_is_not_plain_goes_the_long_way(special: str) -> None:
    async with Served() as served:
        served.fill()
        served.write(HEAD + special + "\r\n12345")
        await until(lambda: served.asked)


async def test_those_who_come_at_once_count_before_they_have_entered() -> None:
    async with Served() as served:
        let_in = [served.admission.refusal("a") is None for _ in range(MAX_IN_FLIGHT)]
        assert sum(let_in) == MAX_IN_FLIGHT * 7 // 8
        await until(lambda: served.admission.refusal("a") is None)


async def test_a_request_that_is_answered_leaves_nothing_to_the_garbage_collector() -> None:
    async with Served() as served:
        gc.collect()
        gc.disable()
        try:
            for _ in range(20):
                served.write(HEAD + "\r\n12345")
                assert (await served.read())[0] == 202
            assert sum(isinstance(each, RequestResponseCycle) for each in gc.get_objects()) <= 1
        finally:
            gc.enable()
