"""One pipelined connection to Redis: commands are written in order, and their replies come back in it.

Requests share it: what is sent within one turn of the event loop is written together, so that under load one
write, and one read and one fsync of the server, serve many orders. It never retries and never reconnects: whoever
lost a reply must be told so, because a repeated XADD may add twice.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from typing import Any, cast

import hiredis
from redis.asyncio.connection import parse_url

from backend.api.outcome import OutcomeUnknownError, UnavailableError

_MOST_TOGETHER = 8
"""Commands that are written without waiting for more: Redis works on them while the next are being made."""
ReplyError = hiredis.ReplyError
"""Redis answered with an error: the command had no effect."""


class RedisLink(asyncio.Protocol):
    """A connection that is open, or was."""

    def __init__(self, on_lost: Callable[[str], None]) -> None:
        self._on_lost = on_lost
        self._reader = hiredis.Reader()
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._unwritten: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()

    @property
    def is_open(self) -> bool:
        """Whether a command may be sent."""
        return self._transport is not None and not self._transport.is_closing()

    def send(self, *command: str | int | bytes) -> "asyncio.Future[Any]":
        """Send a command; the future is its reply, ReplyError, or OutcomeUnknownError where the connection broke.

        Raises UnavailableError where the connection is closed: then nothing will be written.
        """
        if not self.is_open:
            raise UnavailableError("the connection to redis is closed")
        if not self._unwritten:
            self._loop.call_soon(self._write)
        self._unwritten.append(hiredis.pack_command(command))  # type: ignore[arg-type]  # stub: tuple of one
        if len(self._unwritten) == _MOST_TOGETHER:
            self._write()
        reply: asyncio.Future[Any] = self._loop.create_future()
        self._waiting.append(reply)
        return reply

    def _write(self) -> None:
        unwritten, self._unwritten = self._unwritten, []
        if unwritten and self._transport is not None and self.is_open:
            self._transport.write(b"".join(unwritten))

    def close(self) -> None:
        """Close at once; whoever still waits learns that the outcome is unknown."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport (called by the event loop)."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by name

    def data_received(self, data: bytes) -> None:
        """Hand out the replies that are complete (called by the event loop)."""
        self._reader.feed(data)
        try:
            while (value := self._reader.gets()) is not False:
                reply = self._waiting.popleft()
                if reply.done():  # its sender gave up
                    continue
                if isinstance(value, ReplyError):
                    reply.set_exception(value)
                else:
                    reply.set_result(value)
        except (hiredis.ProtocolError, IndexError):
            self.close()  # what answers there does not speak as Redis does

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell everyone who waits (called by the event loop)."""
        reason = f"the connection to redis was lost ({exc})" if exc else "the connection to redis was closed"
        self._transport = None
        while self._waiting:
            reply = self._waiting.popleft()
            if not reply.done():
                reply.set_exception(OutcomeUnknownError(reason))
        self._on_lost(reason)


async def connect(
    url: str, on_lost: Callable[[str], None], make: Callable[[Callable[[str], None]], RedisLink] = RedisLink
) -> RedisLink:
    """Connect, authenticate and select the database of a redis:// or rediss:// URL.

    ``make`` is what makes the connection of ``on_lost``. Raises UnavailableError saying what failed.
    """
    try:
        options: dict[str, Any] = dict(parse_url(url))
        host, port = options.get("host", "localhost"), options.get("port", 6379)
        _, link = await asyncio.get_running_loop().create_connection(
            lambda: make(on_lost), host, port, ssl=_tls(options)
        )
    except OSError as error:
        raise UnavailableError(f"cannot connect to {host}:{port} ({error.strerror or error})") from error
    except ValueError as error:
        raise UnavailableError(f"REDIS_URL cannot be used ({error})") from error
    try:
        if password := options.get("password"):
            await link.send("AUTH", *filter(None, (options.get("username"),)), password)
        if database := options.get("db", 0):
            await link.send("SELECT", database)
        await link.send("CLIENT", "SETNAME", "coffee-api")
    except (ReplyError, OutcomeUnknownError) as error:
        link.close()
        raise UnavailableError(f"{host}:{port} refuses this connection ({error})") from error
    except asyncio.CancelledError:
        link.close()
        raise
    return link


def _tls(options: dict[str, Any]) -> ssl.SSLContext | None:
    if "connection_class" not in options:
        return None
    context = ssl.create_default_context(cafile=options.get("ssl_ca_certs"))
    if options.get("ssl_cert_reqs") == "none":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if certificate := options.get("ssl_certfile"):
        context.load_cert_chain(certificate, options.get("ssl_keyfile"))
    return context
