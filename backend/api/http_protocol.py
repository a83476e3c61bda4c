"""uvicorn's HTTP and websocket protocols, stricter, and with limits to what a client may send.

An order whose request came in one piece is answered here, without ASGI (``ShortWay``): of what the API spends on
an order, uvicorn's cycle, scope and messages were a quarter.

Built on private parts of uvicorn: the classes ``HttpToolsProtocol``, ``RequestResponseCycle`` and ``WSProtocol``,
with their attributes, have no promise to stay. pyproject.toml pins the minor version that this was tested with
(0.54): when it changes, read these classes again and run tests/unit/backend/api.
"""

import asyncio
import resource
import socket
import sys
import weakref
from collections.abc import Callable, Mapping
from functools import cache
from types import SimpleNamespace
from typing import Any, cast

import httptools
import uvloop
from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.wsproto_impl import WSProtocol
from wsproto.events import Ping

from backend.api.admission import ADMISSIONS, HOLD, Admission
from backend.api.middleware import REQUEST_ID_HEADER, SHORT_WAYS, ShortWay, choose_request_id
from backend.api.parsing import CYCLE
from backend.api.problems import (
    LONG_HEADERS,
    NOT_HTTP,
    OVERLOADED,
    RETRY_AFTER_S,
    Headers,
    ProblemError,
    problem_body,
    problem_headers,
)

HEADERS_TIMEOUT_S = 5.0
"""Seconds from a connection, or the first byte of a further request, to the end of the headers."""
MAX_HEADERS_BYTES = 32 * 1024
"""Most bytes of a request line with its headers."""
MAX_HEADERS = 100
"""Most headers of a request."""
REST_TIMEOUT_S = 5.0
"""Seconds from an answer to the end of the request's body, where that comes after it."""
UNREAD_TIMEOUT_S = 30
"""Seconds after which a client that does not read its answers is disconnected."""
HOLD_S = float(RETRY_AFTER_S)
"""Seconds for which nothing is read from a connection whose client is asked to wait."""
_RESERVED = 128
"""Descriptors that no client can have: for files, and for PostgreSQL, Redis and Kafka to be reached again."""
_HOP_BY_HOP = (b"connection", b"upgrade", b"http2-settings")
_CLOSE = (b"connection", b"close")
_ANSWERED = cast("RequestResponseCycle", SimpleNamespace(response_complete=True, message_event=asyncio.Event()))
"""Stands for a request that was answered without the application; the rest of its body is ignored."""


@cache
def most_connections() -> int:
    """Return how many connections there may be: nearly as many as the process may have descriptors."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if descriptors == resource.RLIM_INFINITY else max(descriptors - _RESERVED, _RESERVED)


class WholeRequest:
    """Stands for a request that is answered without the application, in place of uvicorn's cycle."""

    more_body = False
    message_event = asyncio.Event()
    """Nobody waits for it."""

    def __init__(self) -> None:
        self.response_complete = self.disconnected = False
        self.keep_alive = True


class HeadWithBody:
    """A transport for one answer: keeps the head until the body begins, so that one write sends both."""

    def __init__(self, transport: asyncio.Transport, end: Callable[[], None]) -> None:
        """``end`` closes the connection."""
        self._transport = transport
        self._head: bytes | None = None
        self.close = end

    def write(self, data: bytes) -> None:
        """Keep the head; write it together with the first piece of the body; then write at once."""
        if self._head is None:
            self._head = data
        else:
            self._transport.write(self._head + data)
            self._head = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class UnreadLimit:
    """Disconnects a client that reads nothing for ``UNREAD_TIMEOUT_S`` while answers wait for it.

    Linux itself does that (TCP_USER_TIMEOUT), also where less than a buffer waits. Elsewhere the transport says
    when its buffer is full: a client that has taken nothing of it since is cut off.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._timer: asyncio.TimerHandle | None = None
        option = getattr(socket, "TCP_USER_TIMEOUT", None)
        self._by_system = option is not None
        if option is not None:
            milliseconds = round(UNREAD_TIMEOUT_S * 1_000)
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, option, milliseconds)

    def pause(self) -> None:
        """Begin to wait: the buffer is full."""
        if not self._by_system and self._timer is None:
            self._wait()

    def resume(self) -> None:
        """Wait no longer: there is room, or nobody."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self) -> None:
        left = self._transport.get_write_buffer_size()
        self._timer = asyncio.get_running_loop().call_later(UNREAD_TIMEOUT_S, self._check, left)

    def _check(self, left: int) -> None:
        if self._transport.get_write_buffer_size() < left:
            self._wait()
        else:
            self._transport.abort()


class LimitedProtocol(HttpToolsProtocol):
    """Keeps to RFC 9112 where uvicorn is lenient, loses a body, or waits without end.

    Closes a connection whose headers are too slow, too long or too many (llhttp itself sets no bounds), whose
    answers stay unread, or whose request does not end. Reads nothing for a while from a client that is asked to
    wait: clients that come again at once would take the time of the others.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._admissions: Mapping[bytes, Admission] = self.app_state.get(ADMISSIONS, {})
        self._short_ways: Mapping[bytes, ShortWay] = self.app_state.get(SHORT_WAYS, {})
        self._short_way: ShortWay | None = None
        """Where the request goes if the rest of it is in the data being parsed."""
        self._whole_body = b""
        """What is here of its body."""
        self._data = b""
        """The data being parsed."""
        self._in_headers = True
        self._headers_timer: asyncio.TimerHandle | None = None
        self._headers_bytes = 0
        """Bytes of header names and values parsed so far."""
        self._unfinished_bytes = 0
        """Bytes received since the headers began, of a request whose headers came in several pieces."""
        self._hosts = 0
        self._in_trailers = False
        self._request_unfinished = False
        """Whether more of the request is to come."""
        self._rest_timer: asyncio.TimerHandle | None = None
        self._ignores_input = False
        self._unanswered: list[RequestResponseCycle] = []
        """Requests on this connection, before the newest, that are not answered yet."""
        self._hold_after_answer = False
        self._hold_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Limit the time of the headers and of unread answers; refuse a connection beyond the limit."""
        super().connection_made(transport)
        if len(self.connections) > most_connections():
            self.refuse(ProblemError(OVERLOADED, f"{most_connections()} connections are open"))
        self._unread = UnreadLimit(transport)
        self._wait_for_headers()

    def pause_writing(self) -> None:
        """Let the application wait, for a client that reads."""
        super().pause_writing()
        self._unread.pause()

    def resume_writing(self) -> None:
        """Let the application write on."""
        super().resume_writing()
        self._unread.resume()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop every timer, and let the application know."""
        self._unread.resume()
        for timer in (self._headers_timer, self._rest_timer, self._hold_timer):
            if timer is not None:
                timer.cancel()
        self._headers_timer = self._rest_timer = None
        for cycle in self._unanswered:  # uvicorn notifies only the newest
            cycle.disconnected = True
            cycle.message_event.set()
        # uvicorn cancels it only where the client closes in order: it would keep us, with headers and body.
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse the data; count and time those that come before the headers are complete."""
        began_in_headers = self._in_headers
        if not self._ignores_input:
            self._data = data
            super().data_received(data)
            self._data = b""
            if self._short_way is not None and not self.transport.is_closing():
                # The rest is still on its way: the application waits for it.
                self._short_way = None
                self._hand_over()
                if self._whole_body:
                    super().on_body(self._whole_body)
        if not self._in_headers and self._is_idle():
            # Nothing but the line ends that may stand before a request: uvicorn waits for ever then.
            self._wait_for_request()
        if self._in_headers and not self.transport.is_closing():
            self._unfinished_bytes += len(data) if began_in_headers else 0
            if self._unfinished_bytes > MAX_HEADERS_BYTES:
                self.send_400_response("")
            elif self._headers_timer is None:  # headers that came in one piece, as most do, need no timer
                self._wait_for_headers()

    def on_message_begin(self) -> None:
        """Begin with the headers of a request."""
        super().on_message_begin()
        self.scope[HOLD] = self._hold  # type: ignore[literal-required]
        self._in_headers, self._in_trailers, self._request_unfinished = True, False, True
        self._hosts = self._unfinished_bytes = self._headers_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header; drop trailers, which come after the application has checked the headers.

        Refuses headers that are too many or too long, also where all of them came at once.
        """
        if not self._in_trailers:
            name = name.lower()
            self.headers.append((name, value))
            if name == b"host":
                self._hosts += 1
            elif name == b"expect":
                self.expect_100_continue = value.lower() == b"100-continue"
            elif name == b"transfer-encoding" and value.lower() != b"chunked":
                raise ValueError("unsupported transfer coding")  # the parser stops, and a refusal is sent
        self._headers_bytes += len(name) + len(value)
        if self._headers_bytes > MAX_HEADERS_BYTES or len(self.headers) > MAX_HEADERS:
            raise ValueError("too many headers, or too long ones")  # the parser stops, and a refusal is sent

    def on_headers_complete(self) -> None:
        """Stop the timer; refuse at once what is not admitted, and hand the rest over to the application."""
        self._in_headers = False
        self._in_trailers = True
        if self._headers_timer is not None:
            self._headers_timer.cancel()
            self._headers_timer = None
        if self._hosts != 1 and (self._hosts or self.parser.get_http_version() != "1.0"):
            raise ValueError("Host is missing, or given twice")
        if self.parser.should_upgrade():
            if self._is_unanswered:
                # A websocket would take the connection over, and the application never learn of its end; no real
                # client sends one then, nor another upgrade.
                raise ValueError("an upgrade behind an unanswered request")
            if self._offers_unsupported_upgrade():
                return
        admission = self._admissions.get(self.url)
        if admission is not None and self._refused_at_once(admission):
            return
        way = self._short_ways.get(self.url)
        if way is not None and self._is_plain_post() and way.passes(self.headers):
            self._short_way, self._whole_body = way, b""
            return
        if self._is_unanswered:
            self._unanswered.append(self.cycle)
        self._hand_over()

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body."""
        if self._short_way is None:
            super().on_body(body)
        else:
            self._whole_body += body

    def on_message_complete(self) -> None:
        """Note that there is no more of the request, and answer it where it has come in one piece."""
        if self.parser.should_upgrade() and self._offers_unsupported_upgrade():
            return
        self._request_unfinished = False
        if self._short_way is not None:
            way, self._short_way = self._short_way, None
            body, self._whole_body = self._whole_body, b""
            self.cycle = cast("RequestResponseCycle", WholeRequest())
            answering = self._answer(self.cycle, way, cast("Scope", self.scope), body)
            task = self.loop.create_task(answering)
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
            return
        super().on_message_complete()
        if self._rest_timer is not None:
            self._rest_timer.cancel()
            self._rest_timer = None
            if self.timeout_keep_alive_task is None:
                self._wait_for_request()

    def on_response_complete(self) -> None:
        """Wait up to REST_TIMEOUT_S for the rest of the request; go on with the connection, or hold it."""
        if not self.pipeline:
            self._unanswered.clear()
        super().on_response_complete()
        if self._request_unfinished and self.cycle.response_complete and not self.transport.is_closing():
            self._rest_timer = self.loop.call_later(REST_TIMEOUT_S, self.transport.abort)
        if self._hold_after_answer and not self.transport.is_closing():
            self._hold_after_answer = False
            self.flow.pause_reading()
            if self._hold_timer is None:
                self._hold_timer = self.loop.call_later(HOLD_S, self._let_go)

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection, also one whose client has left an answer unread."""
        self.transport.abort()

    def end(self) -> None:
        """Close after the answer, but read on: a client that still sends would be reset before it has read it."""
        if self._request_unfinished and not self.transport.is_closing():
            self._ignores_input = True
            if self.transport.can_write_eof():
                self.transport.write_eof()
        else:
            self.transport.close()

    def refuse(self, problem: ProblemError) -> None:
        """Send the problem and close the connection."""
        headers = [header for header in problem_headers(problem.type) if header[0] != b"connection"]
        self._write_problem(problem, [*headers, (b"connection", b"close")])
        self.transport.close()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  uvicorn's own words
        """Refuse a request that cannot be parsed; where an earlier one is unanswered, close after its answer."""
        if self._finish_earlier_request():
            return
        too_long = max(self._unfinished_bytes, self._headers_bytes) > MAX_HEADERS_BYTES
        if too_long or len(self.headers or ()) > MAX_HEADERS:
            detail = f"At most {MAX_HEADERS} headers, and {MAX_HEADERS_BYTES} bytes of them"
            self.refuse(ProblemError(LONG_HEADERS, detail))
        else:
            detail = "The request could be understood in more than one way, or in none"
            self.refuse(ProblemError(NOT_HTTP, detail))

    def _hand_over(self) -> None:
        """Hand the request to the application."""
        super().on_headers_complete()
        if self.cycle is not None:
            if self.scope["method"] == "POST" and not self.expect_100_continue:
                self.cycle.transport = cast("asyncio.Transport", HeadWithBody(self.transport, self.end))
            # Not itself: it has the scope, and a circle of both would be left to the garbage collector.
            self.scope[CYCLE] = weakref.ref(self.cycle)  # type: ignore[literal-required]

    async def _answer(self, request: RequestResponseCycle, way: ShortWay, scope: Scope, body: bytes) -> None:
        """Answer a request that has come in one piece."""
        request_id, (status, headers, text) = await way.answer(scope, body)
        if self.flow.write_paused and not request.disconnected:
            await self.flow.drain()
        if request.disconnected:
            return
        request.response_complete = True
        if not request.keep_alive and _CLOSE not in headers:
            headers = [*headers, _CLOSE]
        self._write(status, headers, request_id, text)
        if _CLOSE in headers:
            self.transport.close()
        self.on_response_complete()

    def _is_plain_post(self) -> bool:
        return (
            self.parser.get_method() == b"POST"
            and self.parser.get_http_version() == "1.1"
            and self.parser.should_keep_alive()
            and not self.parser.should_upgrade()
            and not self.expect_100_continue
            and not self._is_unanswered
        )

    def _refused_at_once(self, admission: Admission) -> bool:
        # Only a plain POST is refused here; the application refuses the rest.
        if not self._is_plain_post():
            return False
        problem = admission.refusal(self.client[0] if self.client else "")
        if problem is None:
            return False
        self.cycle = _ANSWERED
        self._write_problem(problem, problem_headers(problem.type))
        self._hold()
        self.on_response_complete()
        return True

    def _write_problem(self, problem: ProblemError, headers: Headers) -> None:
        request_id = choose_request_id(self.headers or [])
        body = problem_body(problem, request_id.decode("ascii"))
        self._write(problem.type.status, headers, request_id, body)

    def _write(self, status: int, headers: Headers, request_id: bytes, body: bytes) -> None:
        lines = [
            *self.server_state.default_headers,
            *headers,
            (b"content-length", b"%d" % len(body)),
            (REQUEST_ID_HEADER, request_id),
        ]
        head = b"".join([b"%b: %b\r\n" % line for line in lines])
        self.transport.write(STATUS_LINE[status] + head + b"\r\n" + body)

    def _finish_earlier_request(self) -> bool:
        """Where an earlier request is unanswered, ignore further input and close after its answer.

        Returns whether there is one.
        """
        if not self._is_unanswered:
            return False
        if self.cycle.more_body and not self.pipeline:
            return False  # the request without an answer is this one
        self.cycle.keep_alive = False
        self._ignores_input = True
        return True

    def _offers_unsupported_upgrade(self) -> bool:
        """Tell whether the client offers an upgrade, not to a websocket but e.g. h2c; a server may ignore it."""
        return self._get_upgrade() not in (None, b"websocket")

    def _unsupported_upgrade_warning(self) -> None:
        """Parse a request again without its offer of an upgrade that we do not support (h2c), as a server may.

        uvicorn calls this to log a warning. llhttp stops behind the headers of such a request; its exception
        carries the offset at which the rest begins.
        """
        (offset,) = sys.exception().args  # type: ignore[union-attr]
        lines = [b"%b %b HTTP/1.1" % (self.parser.get_method(), self.url)]
        for name, value in self.headers:
            if name not in _HOP_BY_HOP:
                lines.append(b"%b: %b" % (name, value))
            elif name == b"connection" and b"close" in value.lower():
                lines.append(b"connection: close")
        self.parser = httptools.HttpRequestParser(self)
        self._data = b"\r\n".join(lines) + b"\r\n\r\n" + self._data[offset:]
        super().data_received(self._data)

    def _hold(self) -> None:
        self._hold_after_answer = True

    def _let_go(self) -> None:
        self._hold_timer = None
        if not self.transport.is_closing():
            self.flow.resume_reading()

    @property
    def _is_unanswered(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _is_idle(self) -> bool:
        return (
            self.timeout_keep_alive_task is None
            and not self._request_unfinished
            and self in self.connections  # no websocket has taken over
            and not self._is_unanswered
            and not self.transport.is_closing()
        )

    def _wait_for_request(self) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def _wait_for_headers(self) -> None:
        self._headers_timer = self.loop.call_later(HEADERS_TIMEOUT_S, self._headers_too_slow)

    def _headers_too_slow(self) -> None:
        self._headers_timer = None
        self.transport.close()


_REFUSED = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class LimitedWSProtocol(WSProtocol):
    """uvicorn's websockets; answers no ping of a client that does not read: the answers would fill the memory."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Limit the time of unread messages."""
        super().connection_made(transport)
        self._unread = UnreadLimit(transport)

    def pause_writing(self) -> None:
        """Let the application wait, for a client that reads."""
        super().pause_writing()
        self._unread.pause()

    def resume_writing(self) -> None:
        """Let the application write on."""
        super().resume_writing()
        self._unread.resume()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer, and let the application know."""
        self._unread.resume()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Receive data; refuse a handshake whose headers cannot be decoded, which wsproto does not check."""
        try:
            super().data_received(data)
        except UnicodeError:
            self.transport.write(_REFUSED)
            self.transport.close()

    def handle_ping(self, event: Ping) -> None:
        """Answer a ping; a later one may stand for those before it."""
        if self.writable.is_set():
            super().handle_ping(event)


class EventLoop(uvloop.Loop):
    """uvloop, which waits for a TLS handshake no longer than for headers; uvicorn has no option for it."""

    async def create_server(self, *args: Any, **options: Any) -> Any:
        """Listen, as asyncio does."""
        if options.get("ssl") is not None:
            options["ssl_handshake_timeout"] = HEADERS_TIMEOUT_S
        return await super().create_server(*args, **options)
