"""Redis as the API uses it: one pipelined connection, kept alive by the probe, and commands with a deadline."""

import asyncio
import hashlib
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, cast

import hiredis

from backend.clients.health import Health
from coffee_core.errors import OutcomeUnknownError, UnavailableError
from coffee_core.server_urls import RedisUrl

CONNECT_TIMEOUT_S = 0.8
"""Seconds for a connection and its greeting."""
PING_TIMEOUT_S = 1.5
"""Seconds after which a connection that does not answer is closed; below the timeout of a probe.

Every outstanding command then raises OutcomeUnknownError, so no command needs a timer of its own."""
WRITABLE = "#!lua\nreturn 1"
"""A script that may write and does not: refused, as writes are, by a full memory or disk and by a replica."""
LATE_S = 0.02
"""Seconds after which a late key is written. With ``appendfsync always`` each write is synced, and whatever is
asked of Redis meanwhile waits for that: at 500 orders/s keys are synced 50 times a second in place of 500."""
_WRITE_AT_ONCE = 8
"""Commands that are written without waiting for more: Redis works on them while the next are being made."""
ReplyError = hiredis.ReplyError
"""Redis answered with an error: the command had no effect."""


class Script:
    """A Lua script, called by its digest."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
        """SHA-1 of the text, for EVALSHA."""


class RedisClient:
    """Redis, as the API uses it."""

    def __init__(self, url: str) -> None:
        self.health = Health("redis")
        """Whether Redis is there."""
        self._url = url
        self._link: RedisLink | None = None
        self.late_keys = LateKeys(self)
        """Keys that need not be written at once."""

    async def run(self) -> None:
        """Keep a connection, forever; it is closed when this is cancelled."""
        try:
            await self.health.keep_probing(self._probe)
        finally:
            try:
                await self.late_keys.written()
            finally:
                link, self._link = self._link, None
                if link is not None:
                    link.close()

    async def command(
        self, *command: str | int | bytes, within_s: float | None = None, reading: bool = False
    ) -> Any:
        """Send one command and return its reply; with ``reading`` also to a Redis that takes no writes.

        ``within_s`` limits the seconds that it may take, where that is less than the probe allows to all.
        Raises UnavailableError where it certainly had no effect, OutcomeUnknownError where it may have had one.
        """
        link = self._link
        if link is None or not (self.health.up or reading):
            raise self._unavailable()
        reply = link.send(*command)
        try:
            if within_s is None:
                return await reply
            async with asyncio.timeout(within_s):
                return await reply
        except ReplyError as error:
            raise UnavailableError(f"redis refuses ({error})") from error
        except TimeoutError as error:
            self.health.doubt()
            raise OutcomeUnknownError(f"redis did not answer within {within_s:g} s") from error

    async def call(self, script: Script, keys: tuple[str, ...], *args: str | int, reading: bool = False) -> Any:
        """Run a script and return its reply; raises as ``command`` does."""
        link = self._link
        if link is None or not (self.health.up or reading):
            raise self._unavailable()
        try:
            return await link.run(script, keys, args)
        except ReplyError as error:
            raise UnavailableError(f"redis refuses ({error})") from error

    async def read_at_once(self, *commands: tuple[str, ...]) -> list[Any]:
        """Return the replies of reading commands at one moment (MULTI … EXEC); raises as ``command`` does."""
        if (link := self._link) is None:
            raise self._unavailable()
        # Written in one go, so that no other command gets between them on the shared connection.
        queued = [link.send(*command) for command in (("MULTI",), *commands)]
        for reply in queued:
            reply.add_done_callback(_retrieve)  # EXEC repeats the errors of queued commands
        replies: list[Any] = await self.command("EXEC", reading=True)
        for reply in replies:
            if isinstance(reply, ReplyError):
                raise UnavailableError(f"redis refuses ({reply})") from reply
        return replies

    def _unavailable(self) -> UnavailableError:
        """Return why no command can be sent."""
        try:
            self.health.require()
        except UnavailableError as error:
            return error
        return UnavailableError("the connection to redis is closed")

    async def _probe(self) -> None:
        try:
            if self._link is None or not self._link.is_open:
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    self._link = await connect(self._url, self._lost)
            async with asyncio.timeout(PING_TIMEOUT_S):
                await self._link.send("EVAL", WRITABLE, 0)
        except TimeoutError:
            # A link that no longer answers might deliver late replies; its outstanding commands fail now.
            if self._link is not None:
                self._link.close()
            raise
        except (ReplyError, OutcomeUnknownError) as error:
            raise UnavailableError(str(error)) from error

    def _lost(self, reason: str) -> None:
        # Where it is down already the probe keeps its backoff; without a link the client is being closed.
        if self.health.up and self._link is not None:
            self.health.went_down(reason)
            self.health.doubt()


class LateKeys:
    """Strings that are written together, a moment after they were set, and known here until they are.

    For what may be forgotten: a process that is killed, or finds no Redis, does not write them. One that ends in
    order does.
    """

    def __init__(self, client: RedisClient) -> None:
        self._client = client
        self._unwritten: dict[str, tuple[str, int]] = {}
        self._writing: asyncio.Task[None] | None = None

    def get(self, name: str) -> str | None:
        """Return what is yet to be written under a name; None where that is nothing: then Redis knows."""
        found = self._unwritten.get(name)
        return None if found is None else found[0]

    def set(self, name: str, value: str, expiry_ms: int) -> None:
        """Have a string written, unless there is one under its name."""
        self._unwritten.setdefault(name, (value, expiry_ms))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_all())

    async def written(self) -> None:
        """Return once all is written, or Redis does not answer: for an end in order, when no more is set."""
        if self._writing is not None:
            await asyncio.wait({self._writing}, timeout=CONNECT_TIMEOUT_S)

    async def _write_all(self) -> None:
        while self._unwritten:
            await asyncio.sleep(LATE_S)
            names = list(self._unwritten)
            # In one turn of the event loop, so that they go out together.
            await asyncio.gather(*map(self._write, names))
            for name in names:
                del self._unwritten[name]
        self._writing = None

    async def _write(self, name: str) -> None:
        value, expiry_ms = self._unwritten[name]
        try:
            await self._client.command("SET", name, value, "NX", "PX", expiry_ms)
        except (UnavailableError, OutcomeUnknownError):
            return  # the health of Redis tells


def _retrieve(reply: "asyncio.Future[Any]") -> None:
    if not reply.cancelled():
        reply.exception()


class RedisLink(asyncio.Protocol):
    """One pipelined connection: commands are written in order, and their replies come back in it.

    Requests share it: what is sent within one turn of the event loop is written together, so that under load one
    write, and one read and one fsync of the server, serve many orders. It never retries and never reconnects:
    a caller that lost a reply must learn of it, because a repeated XADD may add twice.
    """

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
        if self._transport is None or self._transport.is_closing():
            raise UnavailableError("the connection to redis is closed")
        if not self._unwritten:
            self._loop.call_soon(self._write)
        self._unwritten.append(hiredis.pack_command(command))  # type: ignore[arg-type]  # stub: tuple of one
        if len(self._unwritten) == _WRITE_AT_ONCE:
            self._write()
        reply: asyncio.Future[Any] = self._loop.create_future()
        self._waiting.append(reply)
        return reply

    async def run(self, script: Script, keys: Sequence[str], args: Sequence[str | int | bytes]) -> Any:
        """Run a script and return its reply; raises as ``send`` and its future do."""
        try:
            return await self.send("EVALSHA", script.digest, len(keys), *keys, *args)
        except ReplyError as error:
            if not str(error).startswith("NOSCRIPT"):
                raise
        # Redis has forgotten the script (a restart, SCRIPT FLUSH): send it whole, which also teaches it again.
        return await self.send("EVAL", script.text, len(keys), *keys, *args)

    def _write(self) -> None:
        unwritten, self._unwritten = self._unwritten, []
        if unwritten and self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(unwritten))

    def close(self) -> None:
        """Close at once; outstanding commands raise OutcomeUnknownError."""
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
            self.close()  # the server does not speak Redis' protocol

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail all outstanding commands with OutcomeUnknownError (called by the event loop)."""
        reason = f"the connection to redis was lost ({exc})" if exc else "the connection to redis was closed"
        self._transport = None
        while self._waiting:
            reply = self._waiting.popleft()
            if not reply.done():
                reply.set_exception(OutcomeUnknownError(reason))
        self._on_lost(reason)


async def connect(
    url: str,
    on_lost: Callable[[str], None],
    make: Callable[[Callable[[str], None]], RedisLink] = RedisLink,
    name: str = "coffee-api",
) -> RedisLink:
    """Connect, authenticate and select the database of a redis://, rediss:// or unix:// URL.

    ``make`` makes the protocol from ``on_lost``; ``name`` is what CLIENT LIST calls it, unless the URL says so.
    Raises UnavailableError with the reason.
    """
    to, loop = RedisUrl.parse(url), asyncio.get_running_loop()
    try:
        if to.path:
            _, link = await loop.create_unix_connection(lambda: make(on_lost), to.path)
        else:
            _, link = await loop.create_connection(
                lambda: make(on_lost), to.endpoint.host, to.endpoint.port, ssl=to.tls_context()
            )
    except OSError as error:
        raise UnavailableError(f"cannot connect to {to.place} ({error.strerror or error})") from error
    try:
        if to.user or to.password:
            await link.send("AUTH", *filter(None, (to.user,)), to.password)
        if to.database:
            await link.send("SELECT", to.database)
        await link.send("CLIENT", "SETNAME", to.parameters.get("client_name", name))
    except (ReplyError, OutcomeUnknownError) as error:
        link.close()
        raise UnavailableError(f"{to.place} refuses this connection ({error})") from error
    except asyncio.CancelledError:
        link.close()
        raise
    return link
