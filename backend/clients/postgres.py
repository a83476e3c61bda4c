"""PostgreSQL as the API uses it: a pool that may start without a server, deadlines, and the probe beside it."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias, TypeVar

import asyncpg

from backend.clients.health import Health
from coffee_core.errors import OutcomeUnknownError, UnavailableError
from coffee_core.server_urls import PostgresUrl

POOL_CONNECTIONS = 16
"""Most connections: enough that one fsync of PostgreSQL commits several orders at once."""
WARM_CONNECTIONS = 4
"""Connections opened as soon as PostgreSQL is there, so that the first orders do not wait for one."""
READERS = 2
"""Most connections that serve reads."""
PROBE_CONNECT_TIMEOUT_S = 0.8
"""Seconds for the connection of a probe."""
ACQUIRE_TIMEOUT_S = 3.0
"""Seconds to wait for a connection, free or new: a busy machine may stall, which is no reason to refuse."""
COMMIT_TIMEOUT_S = 2.0
"""Seconds after which the outcome of a COMMIT counts as unknown."""
TRANSACTION_TIMEOUT_S = 5.0
"""Seconds for a transaction up to its COMMIT, after which it is rolled back."""

GIVE_WAY = "SET idle_in_transaction_session_timeout = '10s'"
"""Has PostgreSQL end a session that has begun a transaction and says nothing for 10 s, as whoever is frozen or cut
off: others wait for what it has locked. Longer than any pause of a process that works."""
_PROBE = """
SELECT current_setting('transaction_read_only')
FROM (SELECT) AS once LEFT JOIN (SELECT FROM orders LIMIT 0) AS found ON true
"""
_READ_ONLY = "25006"
"""SQLSTATE of a statement that writes where nothing may be written."""

_UNCERTAIN_STATES = ("08", "57", "XX", "40003")
"""Beginnings of SQLSTATEs after which a statement may yet have been committed: lost, shut down, broken inside."""
BROKEN = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What asyncpg raises where the server is away (a TimeoutError is an OSError), refuses, or breaks off.

An InternalClientError, too: it is raised where a statement is sent after the last words of a session that
PostgreSQL ends, and before the end of its connection (asyncpg 0.32, coreproto.pyx, ``_set_state``).
"""

Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
"""A connection of the pool."""
Refusal = TypeVar("Refusal")


async def _begin_session(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Have a frozen API give way."""
    await connection.execute(GIVE_WAY)


async def _keep_session(_: object) -> None:
    """Do nothing at release: no session state is ever set, and the default is one round trip more an order."""


class PostgresPool:
    """PostgreSQL, as the API uses it."""

    def __init__(self, url: str) -> None:
        self.health = Health("postgres")
        """Whether PostgreSQL is there and has its table."""
        self.prepared: list[str] = []
        """Statements that the first connections prepare before an order needs them."""
        self._url = url
        self._readers = asyncio.Semaphore(READERS)
        # Before the pool, whose own wait would count as one for a new connection.
        self._slots = asyncio.Semaphore(POOL_CONNECTIONS)
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._at_hand: list[Connection] = []
        """Connections that nobody uses and the pool does not have back: asyncpg takes 50 µs of processor to give
        one out and take it back, a quarter of what a group of 16 orders takes."""
        self._probe_connection: asyncpg.Connection[asyncpg.Record] | None = None

    async def run(self) -> None:
        """Keep a pool, forever; its connections are closed when this is cancelled."""
        name = PostgresUrl.parse(self._url).parameters.get("application_name", "coffee-api")
        # min_size 0 opens nothing yet: the API starts without PostgreSQL.
        self._pool = await asyncpg.create_pool(
            self._url,
            min_size=0,
            max_size=POOL_CONNECTIONS,
            max_queries=sys.maxsize,
            max_inactive_connection_lifetime=0,
            init=_begin_session,
            reset=_keep_session,
            timeout=ACQUIRE_TIMEOUT_S,
            server_settings={"application_name": name},
        )
        try:
            await self.health.keep_probing(self._probe)
        finally:
            self._pool.terminate()
            if self._probe_connection is not None:
                self._probe_connection.terminate()

    async def commit(self, query: str, *args: object) -> None:
        """Run one statement by itself.

        Raises UnavailableError where it certainly was not committed, OutcomeUnknownError where it may have been.
        """
        self.health.require()
        async with self.connection() as connection:
            try:
                async with asyncio.timeout(COMMIT_TIMEOUT_S):
                    await connection.execute(query, *args)
            except BROKEN as error:
                raise self.failure(connection, error) from error

    async def transact(self, write: Callable[[Connection], Awaitable[Refusal | None]]) -> Refusal | None:
        """Commit what ``write`` does, unless it returns a reason to roll it back; return that.

        Raises UnavailableError where it certainly was not committed, OutcomeUnknownError where it may have been.
        """
        self.health.require()
        async with self.connection() as connection:
            committing = False
            try:
                async with asyncio.timeout(TRANSACTION_TIMEOUT_S):
                    transaction = connection.transaction()
                    await transaction.start()
                    refusal = await write(connection)
                    if refusal is not None:
                        await transaction.rollback()
                        return refusal
                committing = True
                async with asyncio.timeout(COMMIT_TIMEOUT_S):
                    await transaction.commit()
            except BROKEN as error:
                self.give_up(connection)
                if committing:
                    raise OutcomeUnknownError(f"postgres broke off ({first_line(error)})") from error
                # Without a COMMIT, PostgreSQL rolls back what it has of a connection that closes.
                raise UnavailableError(f"postgres did not take the batch ({first_line(error)})") from error
        return None

    async def read(self, query: str, *args: object) -> "asyncpg.Record | None":
        """Return the first row of a query; raises UnavailableError."""
        rows = await self.read_all(query, *args)
        return rows[0] if rows else None

    async def read_all(self, query: str, *args: object) -> "list[asyncpg.Record]":
        """Return the rows of a query; raises UnavailableError.

        At most READERS at once: reads must not take the connections of orders.
        """
        self.health.require()
        async with self._readers, self.connection() as connection:
            try:
                async with asyncio.timeout(COMMIT_TIMEOUT_S):
                    return await connection.fetch(query, *args)
            except BROKEN as error:
                self.give_up(connection)
                raise UnavailableError(f"postgres broke off ({first_line(error)})") from error

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Hold a connection of the pool; raises UnavailableError where there is none."""
        connection = await self._acquire()
        try:
            yield connection
        except BaseException:
            await self._release(connection)  # the pool looks what is the matter with it
            raise
        self._at_hand.append(connection)
        self._slots.release()

    def give_up(self, connection: Connection) -> None:
        """Close a connection on which something failed: it may still be busy with that statement."""
        self.health.doubt()
        with contextlib.suppress(asyncpg.InterfaceError):  # where it broke, the pool has taken it back already
            connection.terminate()

    def failure(
        self, connection: Connection, error: Exception, *, committed: bool = False
    ) -> UnavailableError | OutcomeUnknownError:
        """Return the error to raise for a failed statement that commits by itself: not stored, or outcome unknown.

        ``committed``: an earlier statement may have stored something already.
        """
        refused = isinstance(error, asyncpg.PostgresError) and not str(error.sqlstate).startswith(
            _UNCERTAIN_STATES
        )
        if refused and not committed:
            if getattr(error, "sqlstate", "") == _READ_ONLY:
                self._drop_probe_connection()  # that of a session from before may still write
            self.health.doubt()
            return UnavailableError(f"postgres refuses ({first_line(error)})")
        self.give_up(connection)
        return OutcomeUnknownError(f"postgres broke off ({first_line(error)})")

    async def _acquire(self) -> Connection:
        until_s = asyncio.get_running_loop().time() + ACQUIRE_TIMEOUT_S
        try:
            async with asyncio.timeout_at(until_s):
                await self._slots.acquire()
        except TimeoutError as error:
            raise UnavailableError("postgres has no connection free") from error
        try:
            self.health.require()  # once more: it may have gone while we waited
            while self._at_hand:
                connection = self._at_hand.pop()
                if _is_open(connection):
                    return connection
                await self._pool_in_use.release(connection)
            return await self._from_pool(until_s - asyncio.get_running_loop().time())
        except BaseException:
            self._slots.release()
            raise

    @property
    def _pool_in_use(self) -> "asyncpg.Pool[asyncpg.Record]":
        assert self._pool is not None, "healthy before it ran"
        return self._pool

    async def _from_pool(self, within_s: float) -> Connection:
        try:
            return await self._pool_in_use.acquire(timeout=within_s)
        except TimeoutError as error:
            self.health.doubt()
            raise UnavailableError("postgres gives out no connection") from error
        except BROKEN as error:
            self.health.doubt()
            raise UnavailableError(f"cannot connect to postgres ({first_line(error)})") from error

    async def _release(self, connection: Connection) -> None:
        try:
            await self._pool_in_use.release(connection)
        finally:
            self._slots.release()

    async def _probe(self) -> None:
        try:
            if self._probe_connection is None or self._probe_connection.is_closed():
                PostgresUrl.parse(self._url).require_files()
                self._probe_connection = await asyncpg.connect(self._url, timeout=PROBE_CONNECT_TIMEOUT_S)
            if await self._probe_connection.fetchval(_PROBE) == "on":
                raise UnavailableError("it takes no writes (transaction_read_only): a standby, or set so")
            if not self.health.up:
                await self._warm()
        except asyncpg.UndefinedTableError as error:
            raise UnavailableError("the table of orders is missing: run the migrations") from error
        except (TimeoutError, asyncio.CancelledError):
            self._drop_probe_connection()
            raise
        except BROKEN as error:
            self._drop_probe_connection()
            raise UnavailableError(first_line(error)) from error

    async def _warm(self) -> None:
        # What is left from before takes room in the pool, and may be of a server that has gone.
        while self._at_hand:
            await self._pool_in_use.release(self._at_hand.pop())
        opened: list[Connection] = []
        try:
            for _ in range(WARM_CONNECTIONS):
                opened.append(await self._from_pool(PROBE_CONNECT_TIMEOUT_S))
                for query in self.prepared:
                    await opened[-1].prepare(query)
                # asyncpg ends a preparation without a Sync: PostgreSQL would keep its lock on the table, and a
                # migration would wait for the next order.
                await opened[-1].execute("SELECT")
        finally:
            for connection in opened:
                await self._pool_in_use.release(connection)

    def _drop_probe_connection(self) -> None:
        if self._probe_connection is not None:
            self._probe_connection.terminate()
            self._probe_connection = None


def _is_open(connection: Connection) -> bool:
    try:
        return not connection.is_closed()
    except asyncpg.InterfaceError:  # it broke, and the pool has taken it back
        return False


def first_line(error: Exception) -> str:
    """Return the first line of an error: PostgreSQL appends its details and hints."""
    return str(error).partition("\n")[0] or type(error).__name__
