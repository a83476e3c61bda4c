"""What every daemon of the backend does alike: connect, retry with backoff, say why it cannot, end in order."""

import asyncio
import logging
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import asyncpg
import redis.asyncio
import redis.exceptions
import uvloop
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from backend import logs
from backend.clients.postgres import BROKEN
from backend.clients.redis import RedisLink, ReplyError, Script, connect
from coffee_core.backoff import Backoff
from coffee_core.errors import CoffeeError, ConfigError, OutcomeUnknownError, UnavailableError
from coffee_core.runstate import tell_ready
from coffee_core.server_urls import PostgresUrl
from coffee_core.settings import Settings
from coffee_core.standstill import EXPIRY_MS, Standstill
from coffee_core.tasks import end_tasks

Database: TypeAlias = "asyncpg.Connection[Any]"
"""A connection to PostgreSQL (generic for the type checker alone)."""

RunScript: TypeAlias = Callable[[Sequence[str], Sequence[str | int | bytes]], Awaitable[Any]]
"""Runs a Lua script with these keys and arguments: ``RedisScript``, or one that redis-py has registered."""

OUTAGES = (*BROKEN, RedisError)
"""Errors of a server that is unreachable, starting, full or wrongly set up: retried for ever."""

SOCKET_TIMEOUT_S = 5.0
"""Seconds to wait for an answer of Redis; a blocking read must end well before."""
STATEMENT_TIMEOUT_S = 30.0
"""Seconds after which a statement of a daemon is cancelled."""
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0
_JITTER = 0.5
"""Share of a pause that is left to chance."""
_SAY_AFTER_S = 4.0
"""Seconds without a success after which a failure is reported: a server that is started again is back by then."""
_SAY_EVERY_S = 1.5
"""Seconds between two writes of a report, which is believed for ``EXPIRY_MS``."""
_WORDLESS: dict[type[BaseException], str] = {TimeoutError: "it does not answer"}
"""What errors mean that have no text."""


async def open_postgres(url: str, statement_timeout_s: float = STATEMENT_TIMEOUT_S) -> Database:
    """Open one connection. Raises an error of ``OUTAGES``."""
    PostgresUrl.parse(url).require_files()
    return await asyncpg.connect(url, timeout=SOCKET_TIMEOUT_S, command_timeout=statement_timeout_s)


def open_redis(url: str) -> redis.asyncio.Redis:
    """Return a client that answers in text and connects at its first command.

    Bytes that are no UTF-8 survive the way to text and back (surrogateescape). The client retries nothing by
    itself: a caller that lost an answer must find out what became of the command.
    """
    client: redis.asyncio.Redis = redis.asyncio.Redis.from_url(
        url,
        decode_responses=True,
        encoding_errors="surrogateescape",
        socket_timeout=SOCKET_TIMEOUT_S,
        socket_connect_timeout=SOCKET_TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
    )
    return client


class RedisScript:
    """A Lua script on a connection of its own, without redis-py: for the one call that a dashboard waits for.

    redis-py takes 0.25 ms of processor more for a call, half of what the call takes with it.
    """

    def __init__(self, link: RedisLink, text: str) -> None:
        self._link = link
        self._script = Script(text)

    async def __call__(self, keys: Sequence[str], args: Sequence[str | int | bytes]) -> Any:
        """Return what the script returns, texts as bytes. Raises what redis-py does; nothing is tried again."""
        try:
            async with asyncio.timeout(SOCKET_TIMEOUT_S):
                return await self._link.run(self._script, keys, args)
        except ReplyError as error:
            raise redis.exceptions.ResponseError(str(error)) from error
        except TimeoutError as error:
            self._link.close()  # what it answers later would be taken for another answer
            raise redis.exceptions.TimeoutError("it does not answer") from error
        except (UnavailableError, OutcomeUnknownError) as error:
            raise redis.exceptions.ConnectionError(str(error)) from error


@asynccontextmanager
async def open_script(url: str, text: str) -> AsyncIterator[RedisScript]:
    """Connect for the length of the block. Raises an error of ``OUTAGES``."""
    try:
        async with asyncio.timeout(SOCKET_TIMEOUT_S):
            link = await connect(url, lambda _: None, name="")
    except UnavailableError as error:
        raise redis.exceptions.ConnectionError(str(error)) from error
    try:
        yield RedisScript(link, text)
    finally:
        link.close()


class Report:
    """Says under a key in Redis why a daemon can do nothing, for as long as that holds and Redis takes it.

    On a connection of its own: those of the daemon's work may be what has failed.
    """

    def __init__(self, redis_url: str, key: str, daemon: str) -> None:
        self._redis_url = redis_url
        self._key = key
        self._daemon = daemon
        self._standstill: Standstill | None = None
        self._task: asyncio.Task[None] | None = None

    def begin(self, error: BaseException) -> None:
        """Say what the error says, some seconds from now on: unless it has ended by then."""
        server = "Redis" if isinstance(error, RedisError) else "PostgreSQL"
        what = str(error).partition("\n")[0] or _WORDLESS.get(type(error), type(error).__name__)
        cure = (
            f"mend what it names (`coffee status` tells which server is down): {self._daemon} tries until it works"
        )
        self._standstill = Standstill(f"{server}: {what}" if not isinstance(error, CoffeeError) else what, cure)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._keep_saying())

    def end(self) -> None:
        """Say nothing any more, and take back what was said."""
        self._standstill = None

    async def close(self) -> None:
        """End with the daemon: what it said last expires."""
        if self._task is not None:
            await end_tasks(self._task)

    async def _keep_saying(self) -> None:
        await asyncio.sleep(_SAY_AFTER_S)
        said = False
        async with open_redis(self._redis_url) as client:
            while self._standstill is not None:
                said = True
                await self._write(client, self._standstill)
                await asyncio.sleep(_SAY_EVERY_S)
            if said:
                await self._write(client, None)

    async def _write(self, client: redis.asyncio.Redis, standstill: Standstill | None) -> None:
        try:
            if standstill is None:
                await client.delete(self._key)
            else:
                await client.set(self._key, standstill.to_json(), px=EXPIRY_MS)
        except (RedisError, OSError) as error:
            logging.getLogger(__name__).debug("nobody can be told why nothing is done: %s", error)


class Outage:
    """The time between a failure and the next success: one log line at either end, growing pauses within.

    With a ``report`` it is also said where the API and the commands look.
    """

    def __init__(self, stop: asyncio.Event, log: logging.Logger, report: Report | None = None) -> None:
        self._stop = stop
        self._log = log
        self._report = report
        self._backoff = Backoff(_FIRST_PAUSE_S, _LONGEST_PAUSE_S, jitter=_JITTER)
        self._began_s: float | None = None
        self._ready = False
        self._reported: type[BaseException] | None = None

    async def failed(self, error: BaseException) -> None:
        """Note a failure and pause, with jitter and at most 1 s, or until the process is to stop."""
        if self._began_s is None:
            self._began_s, self._ready = time.monotonic(), False
            tell_ready(ready=False)
        if type(error) is not self._reported:
            self._reported = type(error)
            self._log.warning("retrying until it works: %s: %s", type(error).__name__, error)
        if self._report is not None:
            self._report.begin(error)
        await sleep(self._backoff.next_s(), self._stop)

    def begins(self) -> bool:
        """Say that this process is ready, and return whether that was to be said: not after a failure.

        What connects may still fail at its work, again and again: only a success ends that.
        """
        if self._began_s is not None or self._ready:
            return False
        tell_ready(ready=True)
        self._ready = True
        return True

    def over(self) -> None:
        """Note a success."""
        if self._began_s is not None:
            self._log.warning("works again after %.1f s", time.monotonic() - self._began_s)
            self._backoff.reset()
            if self._report is not None:
                self._report.end()
        if not self._ready:
            tell_ready(ready=True)
        self._began_s, self._ready, self._reported = None, True, None


async def sleep(seconds: float, stop: asyncio.Event) -> None:
    """Wait that long, or until the process is to stop."""
    if seconds <= 0:
        return
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return


def run_daemon(name: str, body: Callable[[asyncio.Event], Awaitable[None]]) -> int:
    """Run a daemon until SIGTERM or SIGINT sets its event and it returns; the exit code is 0, or 1 after an error.

    The log goes to stderr, a line an event, in the form that the settings name.
    """
    try:
        settings = Settings.from_env()
    except ConfigError as error:
        print(f"{name}: {error}", file=sys.stderr)  # noqa: T201
        return 1
    logs.configure(name, settings.log_format, settings.log_level)

    async def supervised() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await body(stop)

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(supervised())
    except CoffeeError as error:
        logging.getLogger(name).error("%s", error)  # noqa: TRY400 - the message is enough
        return 1
    return 0
