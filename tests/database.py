"""A connection to PostgreSQL for the length of a block, closed also where the block fails."""

import contextlib
from collections.abc import AsyncIterator

import asyncpg

from backend.clients.daemon import Database


@contextlib.asynccontextmanager
async def connected(url: str, **options: dict[str, str]) -> AsyncIterator[Database]:
    """Connect, with the options of ``asyncpg.connect``."""
    connection = await asyncpg.connect(url, **options)
    try:
        yield connection
    finally:
        await connection.close()
