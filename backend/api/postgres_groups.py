"""v1's orders without a key, in groups: whoever comes while one is being committed goes with the next.

A commit costs PostgreSQL nearly the same for one row as for thirty. An order that its client may repeat goes by
itself: another process may hold its key, and the others must not wait for that.
"""

import asyncio
from datetime import datetime
from uuid import UUID

from backend.api.postgres_backend import INSERT_GROUP, PostgresBackend

SIDE_BY_SIDE = 2
"""Groups that are committed at once: the API reads orders of the one while PostgreSQL writes the other."""
MOST = 256
"""Most orders of a group."""

Row = tuple[UUID, str, str, int, datetime, datetime]
"""Message id, drink, store, cents, ordered at, accepted at."""


class PostgresGroups:
    """Orders that wait for their group."""

    def __init__(self, postgres: PostgresBackend) -> None:
        self._postgres = postgres
        self._waiting: list[tuple[Row, asyncio.Future[None]]] = []
        self._busy = 0
        self._writers: set[asyncio.Task[None]] = set()

    async def insert(self, row: Row) -> None:
        """Return when the order is there; raises UnavailableError or OutcomeUnknownError, with its whole group."""
        self._postgres.health.require()
        committed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((row, committed))
        # Only the first who waits may have to call a writer: those who are busy look again before they end.
        if len(self._waiting) == 1 and self._busy < SIDE_BY_SIDE:
            self._busy += 1
            writer = asyncio.create_task(self._write_all())
            self._writers.add(writer)
            writer.add_done_callback(self._writers.discard)
        await committed

    async def _write_all(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
            columns = [list(column) for column in zip(*(row for row, _ in group), strict=True)]
            try:
                await self._postgres.commit(INSERT_GROUP, *columns)
            except Exception as error:  # noqa: BLE001  it is theirs who wait
                for _, committed in group:
                    if not committed.done():
                        committed.set_exception(error)
            else:
                for _, committed in group:
                    if not committed.done():
                        committed.set_result(None)
        self._busy -= 1
