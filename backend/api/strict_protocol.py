"""uvicorn's HTTP protocol, made to keep to RFC 9112 where it is lenient, loses a body, or waits without end."""

import asyncio
import resource
import socket
import sys
from functools import cache
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from backend.api import problems, request_ids
from backend.api.kinds import NOT_HTTP, OVERLOADED
from backend.api.problems import ProblemError

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
        name = request_ids.choose(self.headers or [])
        body = problems.body(problem, name.decode("ascii"))
        said = [
            *((each, value) for each, value in problems.headers(problem.kind) if each != b"connection"),
            *self.server_state.default_headers,
            (b"content-length", b"%d" % len(body)),
            (request_ids.HEADER, name),
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
