"""A TCP relay on a link between two parts, and what can be wrong with a link: slow, narrow, silent, cut.

Both ends believe to have one connection: a half-close is passed on as one, a reset as a reset, and whoever does
not read holds up whoever writes. The kernel acknowledges segments on either side whatever the link does, so
keepalive and TCP_USER_TIMEOUT notice nothing of a black hole here: only a program's own timeouts do.
"""

import asyncio
import contextlib
import random
import select
import selectors
import socket
import struct
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum

_LARGEST_QUEUE_BYTES = 1 << 20
"""What one direction of a connection holds at most: at 20 ms some 50 MB a second get through."""
_SMALL_QUEUE_BYTES = 1 << 16
"""The same where nothing or little passes: a sender must feel that."""
_CHUNK_S = 0.01
"""Seconds for which a narrow link is taken by one piece."""
_CHUNK_LEAST_BYTES = 256
_PRECISE_BELOW_S = 0.05
_NO_LINGER = struct.pack("ii", 1, 0)
"""SO_LINGER that makes a close a reset."""


@dataclass(frozen=True, slots=True)
class Condition:
    """How one direction of a link is."""

    delay_s: float = 0.0
    """Seconds that everything takes longer."""
    jitter_s: float = 0.0
    """At most so many seconds more, drawn anew for each piece; nothing overtakes."""
    bytes_per_s: float = 0.0
    """What gets through, of all connections together; 0: without a bound."""
    blocked: bool = False
    """Nothing arrives; what was sent does when this ends, as TCP sends it again."""
    closes_late: bool = False
    """An end, or a reset, is not noticed until this ends."""


WHOLE = Condition()
"""The condition of a link without a fault."""


class PreciseSelector(selectors.DefaultSelector):
    """A selector that wakes within a fraction of a millisecond of its time: epoll counts whole milliseconds."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait as the selector of the system does."""
        if hasattr(select, "epoll") and timeout is not None and 0 < timeout < _PRECISE_BELOW_S:
            select.select([self.fileno()], [], [], timeout)
            timeout = 0
        return super().select(timeout)


class _Mark(Enum):
    END = 0
    RESET = 1


class Direction:
    """One direction of a link, for all its connections."""

    def __init__(self) -> None:
        self.condition = WHOLE
        self.free_at_s = 0.0
        """When a narrow link has room again, by the loop's clock."""
        self.changed = asyncio.Event()
        """Set, and replaced, when the condition changes."""

    async def passable(self) -> None:
        """Wait until something could arrive."""
        while self.condition.blocked:
            await self.changed.wait()


class Link:
    """All connections that one part opens to another."""

    def __init__(self, name: str) -> None:
        self.name = name
        """``CLIENT:SERVER``."""
        self.requests = Direction()
        """From the client to the server."""
        self.answers = Direction()
        """From the server to the client."""
        self.connections: set[Connection] = set()
        """Those that are open now."""

    def put(self, requests: Condition, answers: Condition) -> None:
        """Let both directions be so from now on."""
        for direction, condition in ((self.requests, requests), (self.answers, answers)):
            direction.condition = condition
            direction.free_at_s = 0.0
            changed, direction.changed = direction.changed, asyncio.Event()
            changed.set()
        for connection in list(self.connections):
            connection.wake()

    def reset(self) -> int:
        """Reset every connection at both of its ends, at once; return how many there were."""
        connections = list(self.connections)
        for connection in connections:
            connection.reset()
        return len(connections)

    def end_clients(self) -> int:
        """End every connection towards its client; the server is told as the condition has it. Return how many."""
        connections = list(self.connections)
        for connection in connections:
            connection.end_client()
        return len(connections)


Find = Callable[[int], Awaitable[Link]]
"""Returns the link of a connection that comes from this port."""


@dataclass(frozen=True, slots=True)
class Listener:
    """A port of the loopback on which connections are taken, and where they lead."""

    port: int
    upstream_port: int
    link: Link | Find
    """The link, or what tells of which a connection is."""
    backwards: bool = False
    """It is the link's server that opens these connections."""


async def listen(listener: Listener, host: str) -> asyncio.Server:
    """Take connections from now on. Raises OSError where the port is taken."""
    loop = asyncio.get_running_loop()
    return await loop.create_server(lambda: Connection(listener, host).near, host, listener.port, backlog=512)


class Connection:
    """One connection and the one that it is continued by: ``near`` was taken, ``far`` is opened for it."""

    def __init__(self, listener: Listener, host: str) -> None:
        self._listener = listener
        self._host = host
        self._link: Link | None = None
        self._loop = asyncio.get_running_loop()
        self.near, self.far = _End(self), _End(self)
        self.outward, self.inward = (
            _Flow(self.near, self.far, self.settled),
            _Flow(self.far, self.near, self.settled),
        )
        self._dialling: asyncio.Task[None] | None = None

    @property
    def _client(self) -> "_End":
        return self.far if self._listener.backwards else self.near

    def accepted(self) -> None:
        """Continue a connection that was taken."""
        self._dialling = self._loop.create_task(self._dial())

    async def _dial(self) -> None:
        port = self.near.peer_port()
        if port is None:  # gone already
            return
        find = self._listener.link
        self._link = link = find if isinstance(find, Link) else await find(port)
        directions = (link.answers, link.requests) if self._listener.backwards else (link.requests, link.answers)
        self.outward.direction, self.inward.direction = directions
        link.connections.add(self)
        # What a handshake would take: a segment there, one back.
        if handshake_s := sum(each.condition.delay_s for each in directions):
            self.outward.later_s = handshake_s
            await asyncio.sleep(handshake_s)
        if directions[0].condition.blocked:
            await directions[0].passable()
            if self.near.lost or self.outward.ended:  # given up: nobody beyond the link has ever heard of it
                self.reset()
                return
        try:
            await self._loop.create_connection(lambda: self.far, self._host, self._listener.upstream_port)
        except OSError:
            self.near.reset()
            self._forget()

    def opened(self) -> None:
        """Send what has come meanwhile; end at once what was reset meanwhile."""
        self.wake()
        self.settled()

    def wake(self) -> None:
        """Do what can be done now that the condition has changed."""
        self.outward.pump()
        self.inward.pump()

    def lost(self, end: "_End", *, cleanly: bool) -> None:
        """Take the end of one side."""
        out, back = (self.outward, self.inward) if end is self.near else (self.inward, self.outward)
        back.drop()
        if not out.ended:
            out.mark(_Mark.END if cleanly else _Mark.RESET)
        self.settled()

    def end_client(self) -> None:
        """Close the client's side; the server's follows when it may."""
        self._client.close()

    def reset(self) -> None:
        """Reset both sides at once."""
        for flow in (self.outward, self.inward):
            flow.drop()
        self.near.reset()
        self.far.reset()
        self._forget()

    def settled(self) -> None:
        """Close both sides where each has been told that the other has ended."""
        if self.outward.delivered and self.inward.delivered:
            self.near.close()
            self.far.close()
            self._forget()

    def _forget(self) -> None:
        if self._link is not None:
            self._link.connections.discard(self)


class _End(asyncio.Protocol):
    """One socket of a connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._transport: asyncio.Transport | None = None
        self.lost = False
        """Whether its socket is closed."""
        self.full = False
        """Whether it takes nothing more for now: its reader is slow."""

    @property
    def gone(self) -> bool:
        """Whether nothing can be written to it any more."""
        return self.lost or (self._transport is not None and self._transport.is_closing())

    @property
    def unopened(self) -> bool:
        """Whether it has no socket yet."""
        return self._transport is None

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if self is self._connection.near:
            self._connection.accepted()
        else:
            self._connection.opened()

    def data_received(self, data: bytes) -> None:
        self._flow.feed(data)

    def eof_received(self) -> bool:
        self._flow.mark(_Mark.END)
        return True  # half-closed: the other direction goes on

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        self._connection.lost(self, cleanly=error is None)

    def pause_writing(self) -> None:
        self.full = True

    def resume_writing(self) -> None:
        self.full = False
        self._flow_here.pump()

    # What the connection does.

    @property
    def _flow(self) -> "_Flow":
        """What is read here goes this way."""
        return self._connection.outward if self is self._connection.near else self._connection.inward

    @property
    def _flow_here(self) -> "_Flow":
        """What is written here comes this way."""
        return self._connection.inward if self is self._connection.near else self._connection.outward

    def peer_port(self) -> int | None:
        """Return the port at the other end."""
        peer = self._transport and self._transport.get_extra_info("peername")
        return peer[1] if peer else None

    def write(self, data: bytes) -> None:
        assert self._transport is not None
        self._transport.write(data)

    def finish(self) -> None:
        """Tell that nothing more comes."""
        if self._transport is not None and not self.gone:
            with contextlib.suppress(OSError):  # it was reset, which is yet to be read
                self._transport.write_eof()

    def pause(self) -> None:
        """Read nothing for now."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read again."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def reset(self) -> None:
        """Close it so that the other end gets a reset."""
        if self._transport is None or self.lost:
            return
        its_socket = self._transport.get_extra_info("socket")
        its_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self._transport.abort()


class _Flow:
    """One direction of one connection: what was read at ``source`` and is not yet written to ``sink``."""

    def __init__(self, source: _End, sink: _End, on_delivered: Callable[[], None]) -> None:
        self._source, self._sink = source, sink
        self._on_delivered = on_delivered
        self._loop = asyncio.get_running_loop()
        self._queue: deque[tuple[float, bytes | _Mark]] = deque()
        """What is on its way, and when it is due by the loop's clock."""
        self._queued_bytes = 0
        self._last_due_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._paused = False
        self._dropped = False
        self.direction = Direction()
        """Of the link; one without a fault until the link is known."""
        self.later_s = 0.0
        """Seconds that the handshake takes, before which nothing is sent."""
        self.ended = False
        """Whether the source has ended."""
        self.delivered = False
        """Whether the sink was told so, or has gone."""

    def feed(self, data: bytes) -> None:
        """Take what was read."""
        if self._dropped:
            return
        sink = self._sink
        if not self._queue and self.direction.condition is WHOLE and not (sink.full or sink.unopened):
            if sink.gone:
                self.drop()
            else:
                sink.write(data)
                self._hold(full=sink.full)
            return
        self._enqueue(data)
        self._queued_bytes += len(data)
        self.pump()

    def mark(self, mark: _Mark) -> None:
        """Take the end of the source."""
        self.ended = True
        if not self._dropped:
            self._enqueue(mark)
            self.pump()

    def drop(self) -> None:
        """Let go of everything: the sink has gone."""
        self._dropped = self.delivered = True
        self._queue.clear()
        self._queued_bytes = 0
        self._hold(full=False)  # its end must be noticed

    def pump(self) -> None:
        """Write what may be written now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._sink.gone:
            self.drop()
        while self._queue and not self._dropped:
            due_s, item = self._queue[0]
            condition, now_s = self.direction.condition, self._loop.time()
            if condition.blocked or self._sink.unopened:
                break
            wait_s = max(
                due_s - now_s if condition.delay_s or condition.jitter_s else 0.0,
                self.direction.free_at_s - now_s if condition.bytes_per_s else 0.0,
            )
            if wait_s > 0:
                self._timer = self._loop.call_later(wait_s, self.pump)
                break
            if isinstance(item, _Mark):
                if condition.closes_late:
                    break
                self._queue.popleft()
                self._deliver(item)
                continue
            if self._sink.full:
                break
            self._queue.popleft()
            self._write(item, due_s, condition, now_s)
        limit = _LARGEST_QUEUE_BYTES if self._passes_all else _SMALL_QUEUE_BYTES
        self._hold(full=self._sink.full or self._queued_bytes >= limit)

    @property
    def _passes_all(self) -> bool:
        condition = self.direction.condition
        return not (condition.blocked or condition.bytes_per_s)

    def _enqueue(self, item: bytes | _Mark) -> None:
        condition = self.direction.condition
        delay_s = condition.delay_s + (random.uniform(0, condition.jitter_s) if condition.jitter_s else 0.0)
        if self._sink.unopened:
            delay_s += self.later_s
        self._last_due_s = max(self._last_due_s, self._loop.time() + delay_s)
        self._queue.append((self._last_due_s, item))

    def _write(self, data: bytes, due_s: float, condition: Condition, now_s: float) -> None:
        if condition.bytes_per_s:
            size = max(_CHUNK_LEAST_BYTES, int(condition.bytes_per_s * _CHUNK_S))
            data, rest = data[:size], data[size:]
            if rest:
                self._queue.appendleft((due_s, rest))
            self.direction.free_at_s = max(now_s, self.direction.free_at_s) + len(data) / condition.bytes_per_s
        self._queued_bytes -= len(data)
        self._sink.write(data)
        if self._sink.gone:
            self.drop()

    def _deliver(self, mark: _Mark) -> None:
        self.delivered = True
        if mark is _Mark.RESET:
            self._sink.reset()
        else:
            self._sink.finish()
        self._on_delivered()

    def _hold(self, *, full: bool) -> None:
        if full != self._paused:
            self._paused = full
            if full:
                self._source.pause()
            else:
                self._source.resume()
