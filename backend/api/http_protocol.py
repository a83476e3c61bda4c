"""uvicorn's HTTP protocol with limits to what a client may send before its request is understood."""

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
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.wsproto_impl import WSProtocol
from wsproto.events import Ping

from backend.api import problems, responses
from backend.api.admission import DOORS, HOLD, Door
from backend.api.parsing import ARRIVING
from backend.api.problems import LONG_HEADERS, NOT_HTTP, OVERLOADED, RETRY_AFTER_S, ProblemError

# uvicorn's HTTP protocol, made to keep to RFC 9112 where it is lenient, loses a body, or waits without end.


REST_TIMEOUT_S = 5.0
"""Seconds from an answer to the end of the request's body, where that comes after it."""
UNREAD_TIMEOUT_S = 30
"""Seconds after which a client that takes nothing of its answers is gone, where the system can tell (Linux)."""
_RESERVED = 128
"""Descriptors that no client can have: for files, and for PostgreSQL, Redis and Kafka to be reached again."""
_HOP = (b"connection", b"upgrade", b"http2-settings")


@cache
def most_connections() -> int:
    """Return how many connections there may be: nearly as many as the process may have descriptors."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if descriptors == resource.RLIM_INFINITY else max(descriptors - _RESERVED, _RESERVED)


class StrictProtocol(HttpToolsProtocol):
    """Knows what belongs to which request, and lets no connection stay that gets no further."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._data = b""
        self._hosts = 0
        self._more = False
        self._in_trailers = False
        self._deaf = False
        self._rest_timer: asyncio.TimerHandle | None = None
        self._earlier: list[RequestResponseCycle] = []

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Bound how long answers may stay unread; refuse a connection too many."""
        super().connection_made(transport)
        if len(self.connections) > most_connections():
            self.refuse(ProblemError(OVERLOADED, f"{most_connections()} connections are open"))
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            option = socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_TIMEOUT_S * 1_000
            transport.get_extra_info("socket").setsockopt(*option)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._forget_rest()
        for cycle in self._earlier:  # uvicorn tells the newest alone
            cycle.disconnected = True
            cycle.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Pass on what is to be understood."""
        if self._deaf:
            return
        self._data = data
        super().data_received(data)
        self._data = b""

    def on_message_begin(self) -> None:
        """Begin to look at a request."""
        super().on_message_begin()
        self._hosts, self._more, self._in_trailers = 0, True, False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, but no trailer for one: those that guard this server have seen headers alone."""
        if self._in_trailers:
            return
        name = name.lower()
        self.headers.append((name, value))
        if name == b"host":
            self._hosts += 1
        elif name == b"expect":
            self.expect_100_continue = value.lower() == b"100-continue"
        elif name == b"transfer-encoding" and value.lower() != b"chunked":
            raise ValueError("nobody here undoes that")  # the parser stops, and a refusal is sent

    def on_headers_complete(self) -> None:
        """Answer what is a request."""
        self._in_trailers = True
        if self._hosts != 1 and (self._hosts or self.parser.get_http_version() != "1.0"):
            raise ValueError("Host is missing, or given twice")
        if not self._offers_another_protocol():
            self.begin_to_answer()

    def begin_to_answer(self) -> None:
        """Hand the request over to the application."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._earlier.append(self.cycle)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Note that there is no more of the request."""
        if self._offers_another_protocol():
            return
        super().on_message_complete()
        self._more = False
        if self._rest_timer is not None:
            self._forget_rest()
            if self.timeout_keep_alive_task is None:
                self.timeout_keep_alive_task = self.loop.call_later(
                    self.timeout_keep_alive, self.timeout_keep_alive_handler
                )

    def on_response_complete(self) -> None:
        """Wait for what is left of the request, but not for long."""
        if not self.pipeline:
            self._earlier.clear()
        super().on_response_complete()
        if self._more and self.cycle.response_complete and not self.transport.is_closing():
            self._rest_timer = self.loop.call_later(REST_TIMEOUT_S, self.transport.abort)

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection, also one whose client has left an answer unread."""
        self.transport.abort()

    def end(self) -> None:
        """Close after the answer, but read on: a client that still sends would be reset before it has read it."""
        if self._more and not self.transport.is_closing():
            self._deaf = True
            if self.transport.can_write_eof():
                self.transport.write_eof()
        else:
            self.transport.close()

    def refuse(self, problem: ProblemError) -> None:
        """Say why nothing that comes here is read, and close."""
        name = responses.choose(self.headers or [])
        body = problems.body(problem, name.decode("ascii"))
        said = [
            *((each, value) for each, value in problems.headers(problem.kind) if each != b"connection"),
            *self.server_state.default_headers,
            (b"content-length", b"%d" % len(body)),
            (responses.HEADER, name),
            (b"connection", b"close"),
        ]
        head = b"".join(b"%b: %b\r\n" % each for each in said)
        self.transport.write(STATUS_LINE[problem.kind.status] + head + b"\r\n" + body)
        self.transport.close()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  uvicorn's own words
        """Refuse what is not understood, unless an earlier request is in hand: then end with its answer."""
        if not self._answers_first():
            self.refuse(self.why_not_understood())

    def why_not_understood(self) -> ProblemError:
        """Return what is wrong with a request that the parser stopped at."""
        return ProblemError(NOT_HTTP, "The request could be understood in more than one way, or in none")

    def _answers_first(self) -> bool:
        """Tell whether an earlier request is still in hand; then the connection ends with its answer."""
        if self.cycle is None or self.cycle.response_complete:
            return False
        if self.cycle.more_body and not self.pipeline:
            return False  # it is this one that is not understood
        self.cycle.keep_alive = False
        self._deaf = True
        return True

    def _offers_another_protocol(self) -> bool:
        """Tell whether the request would be answered by h2c or the like, which is passed over: it may be."""
        return self.parser.should_upgrade() and self._get_upgrade() not in (None, b"websocket")

    def _unsupported_upgrade_warning(self) -> None:
        # The parser has ended such a request with its headers: without those that offer it, it is as any other.
        if self.cycle is not None and not self.cycle.response_complete:
            self.send_400_response("")  # nobody offers it behind another request
            return
        (offset,) = sys.exception().args  # type: ignore[union-attr]
        rest = self._data[offset:]
        lines = [b"%b %b HTTP/1.1" % (self.parser.get_method(), self.url)]
        for name, value in self.headers:
            if name not in _HOP:
                lines.append(b"%b: %b" % (name, value))
            elif name == b"connection" and b"close" in value.lower():
                lines.append(b"connection: close")
        self.parser = httptools.HttpRequestParser(self)
        StrictProtocol.data_received(self, b"\r\n".join(lines) + b"\r\n\r\n" + rest)

    def _forget_rest(self) -> None:
        if self._rest_timer is not None:
            self._rest_timer.cancel()
            self._rest_timer = None


HEADERS_TIMEOUT_S = 5.0
"""Seconds from a connection, or the first byte of a further request, to the end of the headers."""
MAX_HEADERS_BYTES = 32 * 1024
"""Most bytes of a request line with its headers."""
MAX_HEADERS = 100
"""Most headers of a request."""
HOLD_S = float(RETRY_AFTER_S)
"""Seconds for which nothing is read from a connection whose client was told to wait."""

_ANSWERED = cast("RequestResponseCycle", SimpleNamespace(response_complete=True, message_event=asyncio.Event()))
"""Stands for a request that was answered without the application: what is left of its body is passed over."""


class HeadWithBody:
    """A transport for one answer: its head waits for the first of its body, so that one write sends both."""

    def __init__(self, transport: asyncio.Transport, end: Callable[[], None]) -> None:
        """``end`` closes the connection."""
        self._transport = transport
        self._head: bytes | None = None
        self.close = end

    def write(self, data: bytes) -> None:
        """Write what comes first together with what comes next, then at once."""
        if self._head is None:
            self._head = data
        else:
            self._transport.write(self._head + data)
            self._head = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class LimitedProtocol(StrictProtocol):
    """Closes a connection whose headers are too slow, too long or too many; llhttp itself sets no bounds.

    Who is told to wait is made to: those who come again at once would take the time of the others.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._headers_timer: asyncio.TimerHandle | None = None
        self._headers_bytes = 0
        self._unfinished_bytes = 0
        self._in_headers = True
        self._doors: Mapping[bytes, Door] = self.app_state.get(DOORS, {})
        self._to_hold = False
        self._hold_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start to wait for the headers."""
        super().connection_made(transport)
        self._wait_for_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._cancel_timer()
        if self._hold_timer is not None:
            self._hold_timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count and time what comes before the headers are complete."""
        begun = self._in_headers
        super().data_received(data)
        if self._in_headers and not self.transport.is_closing():
            self._unfinished_bytes += len(data) if begun else 0
            if self._unfinished_bytes > MAX_HEADERS_BYTES:
                self.send_400_response("")
            elif self._headers_timer is None:  # headers that came at once, as most do, need none
                self._wait_for_headers()

    def on_message_begin(self) -> None:
        """Begin to count the headers of a further request."""
        super().on_message_begin()
        self.scope[HOLD] = self._hold  # type: ignore[literal-required]
        self._in_headers, self._unfinished_bytes, self._headers_bytes = True, 0, 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Refuse headers that are too many or too long also where all came at once."""
        super().on_header(name, value)
        self._headers_bytes += len(name) + len(value)
        if self._headers_bytes > MAX_HEADERS_BYTES or len(self.headers) > MAX_HEADERS:
            raise ValueError("too many headers, or too long ones")  # the parser stops, and a refusal is sent

    def on_headers_complete(self) -> None:
        """Stop the clock: the request is understood."""
        self._in_headers = False
        self._cancel_timer()
        super().on_headers_complete()

    def begin_to_answer(self) -> None:
        """Refuse at once what there is no room for, and hand over the rest."""
        if self._refused_at_the_door():
            return
        super().begin_to_answer()
        if self.cycle is not None and self.scope["method"] == "POST" and not self.expect_100_continue:
            self.cycle.transport = cast("asyncio.Transport", HeadWithBody(self.transport, self.end))
        if self.cycle is not None:
            # Not itself: it has the scope, and a circle of both would be left to the garbage collector.
            self.scope[ARRIVING] = weakref.ref(self.cycle)  # type: ignore[literal-required]

    def on_response_complete(self) -> None:
        """Go on with the connection, at once or after a pause."""
        super().on_response_complete()
        if self._to_hold and not self.transport.is_closing():
            self._to_hold = False
            self.flow.pause_reading()
            if self._hold_timer is None:
                self._hold_timer = self.loop.call_later(HOLD_S, self._let_go)

    def why_not_understood(self) -> ProblemError:
        """Return what is wrong with a request that the parser stopped at."""
        too_long = max(self._unfinished_bytes, self._headers_bytes) > MAX_HEADERS_BYTES
        if too_long or len(self.headers or ()) > MAX_HEADERS:
            return ProblemError(
                LONG_HEADERS, f"At most {MAX_HEADERS} headers, and {MAX_HEADERS_BYTES} bytes of them"
            )
        return super().why_not_understood()

    def _refused_at_the_door(self) -> bool:
        door = self._doors.get(self.url)
        # What is not plain goes the long way, and is refused at its end.
        if (
            door is None
            or self.parser.get_method() != b"POST"
            or not self.parser.should_keep_alive()
            or self.expect_100_continue
            or not (self.cycle is None or self.cycle.response_complete)
        ):
            return False
        client = self.client[0] if self.client else ""
        refusal = door.refusal(client, self.headers, self.server_state.default_headers)
        if refusal is None:
            return False
        self.cycle = _ANSWERED
        self.transport.write(refusal)
        self._hold()
        self.on_response_complete()
        return True

    def _hold(self) -> None:
        self._to_hold = True

    def _let_go(self) -> None:
        self._hold_timer = None
        if not self.transport.is_closing():
            self.flow.resume_reading()

    def _wait_for_headers(self) -> None:
        self._headers_timer = self.loop.call_later(HEADERS_TIMEOUT_S, self._too_slow)

    def _cancel_timer(self) -> None:
        if self._headers_timer is not None:
            self._headers_timer.cancel()
            self._headers_timer = None

    def _too_slow(self) -> None:
        self._headers_timer = None
        self.transport.close()


# uvicorn's websocket protocol with a limit to what a client can make it answer, and a closed door to the rest.


_REFUSED = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class LimitedWSProtocol(WSProtocol):
    """Answers no ping of a client that does not read: each would wait in memory."""

    def data_received(self, data: bytes) -> None:
        """Read what comes; refuse a handshake whose headers are no text, which wsproto takes for granted."""
        try:
            super().data_received(data)
        except UnicodeError:
            self.transport.write(_REFUSED)
            self.transport.close()

    def handle_ping(self, event: Ping) -> None:
        """Answer a ping; a later one may stand for those before it."""
        if self.writable.is_set():
            super().handle_ping(event)


# The event loop of the API.


class EventLoop(uvloop.Loop):
    """uvloop, which waits for a TLS handshake no longer than for headers; uvicorn has no option for it."""

    async def create_server(self, *args: Any, **options: Any) -> Any:
        """Listen, as asyncio does."""
        if options.get("ssl") is not None:
            options["ssl_handshake_timeout"] = HEADERS_TIMEOUT_S
        return await super().create_server(*args, **options)
