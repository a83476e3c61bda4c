"""uvicorn's HTTP protocol with limits to what a client may send before its request is understood."""

import asyncio
import weakref
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from backend.api.door import DOORS, Door
from backend.api.gate import HOLD
from backend.api.incoming import ARRIVING
from backend.api.kinds import LONG_HEADERS
from backend.api.problems import RETRY_AFTER_S, ProblemError
from backend.api.strict_protocol import StrictProtocol

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
