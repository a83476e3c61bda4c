"""The Redis side of the API: one link, kept alive by the probe, and commands with a deadline."""

import asyncio
import hashlib
from typing import Any

from backend.api import redis_link
from backend.api.health import Health
from backend.api.outcome import OutcomeUnknownError, UnavailableError
from backend.api.redis_link import RedisLink, ReplyError

CONNECT_TIMEOUT_S = 0.8
"""Seconds for a connection and its greeting."""
WRITABLE = "#!lua\nreturn 1"
"""A script that may write and does not: refused, as writes are, by a full memory or disk and by a replica."""
PING_TIMEOUT_S = 1.5
"""Seconds after which a connection that does not answer is closed; below the timeout of a probe.

Whoever waits for a reply is then told that the outcome is unknown: no command needs a timer of its own."""


class Script:
    """A Lua script, called by its digest."""

    def __init__(self, text: str) -> None:
        self.text = text
        """Its source."""
        self.digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
        """What EVALSHA knows it by."""


class RedisBackend:
    """Redis, as the API uses it."""

    def __init__(self, url: str) -> None:
        self.health = Health("redis")
        """Whether Redis is there."""
        self._url = url
        self._link: RedisLink | None = None

    async def run(self) -> None:
        """Keep a connection, forever; it is closed when this is cancelled."""
        try:
            await self.health.keep_asking(self._probe)
        finally:
            link, self._link = self._link, None
            if link is not None:
                link.close()

    async def command(
        self, *command: str | int | bytes, within_s: float | None = None, reading: bool = False
    ) -> Any:
        """Send one command and return its reply; with ``reading`` also to a Redis that takes no writes.

        ``within_s`` are the seconds that it may take, where that is less than the probe gives to all.
        Raises UnavailableError where it certainly had no effect, OutcomeUnknownError where it may have had one.
        """
        try:
            return await self._reply(command, within_s, reading)
        except ReplyError as error:
            raise UnavailableError(f"redis refuses ({error})") from error

    async def call(self, script: Script, keys: tuple[str, ...], *args: str | int, reading: bool = False) -> Any:
        """Run a script and return its reply; raises as ``command`` does."""
        command = ("EVALSHA", script.digest, len(keys), *keys, *args)
        try:
            return await self._reply(command, None, reading)
        except ReplyError as error:
            if not str(error).startswith("NOSCRIPT"):
                raise UnavailableError(f"redis refuses ({error})") from error
        # Redis has forgotten the script (a restart, SCRIPT FLUSH): send it whole, which also teaches it again.
        return await self.command("EVAL", script.text, len(keys), *keys, *args, reading=reading)

    async def read_at_once(self, *commands: tuple[str, ...]) -> list[Any]:
        """Return the replies of reading commands at one moment (MULTI … EXEC); raises as ``command`` does."""
        link = self._open_link()
        # Written in one go, so that no other command gets between them on the shared connection.
        queued = [link.send(*command) for command in (("MULTI",), *commands)]
        for reply in queued:
            reply.add_done_callback(_seen)  # what is wrong with one of them, EXEC says again
        replies: list[Any] = await self.command("EXEC", reading=True)
        for reply in replies:
            if isinstance(reply, ReplyError):
                raise UnavailableError(f"redis refuses ({reply})") from reply
        return replies

    def _open_link(self) -> RedisLink:
        if self._link is None:
            self.health.require()
            raise UnavailableError("the connection to redis is closed")
        return self._link

    async def _reply(
        self, command: tuple[str | int | bytes, ...], within_s: float | None, reading: bool = False
    ) -> Any:
        if not reading:
            self.health.require()
        reply = self._open_link().send(*command)
        if within_s is None:
            return await reply
        try:
            async with asyncio.timeout(within_s):
                return await reply
        except TimeoutError as error:
            self.health.doubt()
            raise OutcomeUnknownError(f"redis did not answer within {within_s:g} s") from error

    async def _probe(self) -> None:
        try:
            if self._link is None or not self._link.is_open:
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    self._link = await redis_link.connect(self._url, self._lost)
            async with asyncio.timeout(PING_TIMEOUT_S):
                await self._link.send("EVAL", WRITABLE, 0)
        except TimeoutError:
            # A link that no longer answers would hand out late replies; whoever waits on it is told now.
            if self._link is not None:
                self._link.close()
            raise
        except (ReplyError, OutcomeUnknownError) as error:
            raise UnavailableError(str(error)) from error

    def _lost(self, reason: str) -> None:
        # Where it is down already the probe knows, and keeps its backoff; without a link this is the end.
        if self.health.up and self._link is not None:
            self.health.went_down(reason)
            self.health.doubt()


def _seen(reply: "asyncio.Future[Any]") -> None:
    if not reply.cancelled():
        reply.exception()
