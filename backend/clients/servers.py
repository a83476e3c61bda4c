"""Connections of a command to the servers of a stack; an error names the server that cannot be reached."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import asyncpg
from redis.asyncio import Redis
from redis.exceptions import BusyLoadingError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from backend.clients.daemon import Database, open_postgres, open_redis
from coffee_core.errors import CoffeeError
from coffee_core.server_urls import place
from coffee_core.settings import Settings

STATEMENT_TIMEOUT_S = 110.0
"""Seconds that a scan of a partition may take."""
_POSTGRES_UNREACHABLE = (
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
_REDIS_UNREACHABLE = (RedisConnectionError, RedisTimeoutError, BusyLoadingError)


class UnreachableError(CoffeeError):
    """A server cannot be reached."""


@dataclass(frozen=True, slots=True)
class Servers:
    """Open connections, and the settings they were made from."""

    settings: Settings
    database: Database
    """PostgreSQL."""
    client: Redis
    """Redis, answering in text."""


@asynccontextmanager
async def open_servers(settings: Settings) -> AsyncIterator[Servers]:
    """Connect to PostgreSQL and Redis for the length of the block.

    Raises UnreachableError where one cannot be reached or is lost, CoffeeError where one refuses a command.
    """
    with naming_servers(settings):
        connection = await open_postgres(settings.database_url, STATEMENT_TIMEOUT_S)
        try:
            async with open_redis(settings.redis_url) as client:
                yield Servers(settings, connection, client)
        finally:
            # Not close(), which would wait for a server that hangs.
            connection.terminate()


@contextmanager
def naming_servers(settings: Settings) -> Iterator[None]:
    """Turn the errors of the two drivers into one line that names the server."""
    postgres = f"PostgreSQL at {place(settings.database_url)}"
    redis = f"Redis at {place(settings.redis_url)}"
    try:
        yield
    except _REDIS_UNREACHABLE as error:
        raise UnreachableError(_unreachable(redis, error)) from error
    except RedisError as error:
        raise CoffeeError(f"{redis} refuses: {error}") from error
    except _POSTGRES_UNREACHABLE as error:
        raise UnreachableError(_unreachable(postgres, error)) from error
    except asyncpg.PostgresError as error:
        raise CoffeeError(f"{postgres} refuses: {error}") from error
    except OSError as error:  # redis-py has errors of its own for this
        raise UnreachableError(_unreachable(postgres, error)) from error


def _unreachable(server: str, error: BaseException) -> str:
    return f"{server} cannot be reached ({error or type(error).__name__}): `coffee status` tells what runs"
