"""Orders that wait while others are committed go together with the next commit."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

CONCURRENT_GROUPS = 2
"""Groups that are committed at once: the API reads orders of the one while PostgreSQL writes the other."""
MAX_GROUP = 256
"""Most orders of a group."""

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


class Groups(Generic[Item, Outcome]):
    """Whoever comes while a group is being committed goes with the next.

    A commit costs PostgreSQL nearly the same for one row as for thirty.
    """

    def __init__(self, commit: Callable[[Sequence[Item]], Awaitable[Sequence[Outcome]]]) -> None:
        """``commit`` returns the outcome of each item, in order; what it raises is raised for each of them."""
        self._commit = commit
        self._waiting: list[tuple[Item, asyncio.Future[Outcome]]] = []
        self._busy = 0
        self._writers: set[asyncio.Task[None]] = set()

    async def submit(self, item: Item) -> Outcome:
        """Return the outcome once the item's group is committed; raises as its whole group does."""
        committed: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, committed))
        # Only the first who waits may have to start a writer: those who are busy look again before they end.
        if len(self._waiting) == 1 and self._busy < CONCURRENT_GROUPS:
            self._busy += 1
            writer = asyncio.create_task(self._write_all())
            self._writers.add(writer)
            writer.add_done_callback(self._writers.discard)
        return await committed

    async def _write_all(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting[:MAX_GROUP], self._waiting[MAX_GROUP:]
            try:
                outcomes = await self._commit([item for item, _ in group])
            except Exception as error:  # noqa: BLE001  it is theirs who wait
                for _, committed in group:
                    if not committed.done():
                        committed.set_exception(error)
            else:
                for (_, committed), outcome in zip(group, outcomes, strict=True):
                    if not committed.done():
                        committed.set_result(outcome)
        self._busy -= 1
