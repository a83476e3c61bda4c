"""Batches of v1: many rows, one transaction."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import asyncpg

from backend.api import resources
from backend.api.outcome import OutcomeUnknownError, UnavailableError
from backend.api.postgres_backend import BROKEN, Content, PostgresBackend, first_line

BATCH_TIMEOUT_S = 5.0
"""Seconds for a batch up to its COMMIT, after which it is rolled back."""
COMMIT_TIMEOUT_S = 2.0
"""Seconds after which the outcome of its COMMIT counts as unknown."""

_INSERT = resources.text("insert_orders.sql")
_SELECT = resources.text("select_contents.sql")


class PostgresBatches:
    """Inserts of many orders at once."""

    def __init__(self, postgres: PostgresBackend) -> None:
        self._postgres = postgres

    async def insert(self, said: Mapping[UUID, Content], accepted_at: datetime) -> UUID | None:
        """Commit all of these orders of v1; return None, or a message id that has another order, and none of them.

        Raises UnavailableError where certainly none was stored, OutcomeUnknownError where all may have been.
        """
        self._postgres.health.require()
        async with self._postgres.connection() as connection:
            committing = False
            try:
                async with asyncio.timeout(BATCH_TIMEOUT_S):
                    transaction = connection.transaction()
                    await transaction.start()
                    conflict = await self._write(connection, said, accepted_at)
                    if conflict is not None:
                        await transaction.rollback()
                        return conflict
                committing = True
                async with asyncio.timeout(COMMIT_TIMEOUT_S):
                    await transaction.commit()
            except BROKEN as error:
                self._postgres.give_up(connection)
                if committing:
                    raise OutcomeUnknownError(f"postgres broke off ({first_line(error)})") from error
                # Without a COMMIT, PostgreSQL rolls back what it has of a connection that closes.
                raise UnavailableError(f"postgres did not take the batch ({first_line(error)})") from error
        return None

    async def _write(
        self,
        connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]",
        said: Mapping[UUID, Content],
        accepted_at: datetime,
    ) -> UUID | None:
        columns = [list(column) for column in zip(*said.values(), strict=True)]
        added = await connection.execute(_INSERT, list(said), *columns, accepted_at)
        if added == f"INSERT 0 {len(said)}":
            return None
        # A second statement: it sees what others have committed while the first one waited for them.
        for row in await connection.fetch(_SELECT, list(said)):
            if said[UUID(int=row[0].int)] != tuple(row)[1:]:
                return UUID(int=row[0].int)
        return None
