"""The worker's view of the stream: new entries, its own unfinished ones, those of dead consumers."""

from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from backend.stream_worker.entries import Entry
from backend.stream_worker.resources import lua
from coffee_core.keys import STREAM, STREAM_GROUP

BLOCK_MS = 500
"""How long a read waits for an entry: well under the socket's timeout, and what a SIGTERM may have to wait."""
MIN_IDLE_MS = 5_000
"""After how long without an acknowledgement an entry may be taken from its consumer."""


class Group:
    """The consumer group of the workers, under one consumer's name."""

    def __init__(self, client: Redis, consumer: str, batch_orders: int) -> None:
        self._client = client
        self._consumer = consumer
        self._count = batch_orders
        self._retire = client.register_script(lua("retire"))
        self._claim_from = "0-0"

    async def ensure(self) -> bool:
        """Create group and stream where they are missing; tell whether the group was."""
        try:
            await self._client.xgroup_create(STREAM, STREAM_GROUP, id="0", mkstream=True)
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise
            return False
        return True

    async def own(self) -> list[Entry]:
        """Return entries that were delivered to this consumer before and never acknowledged."""
        return await self._read("0", None)

    async def new(self) -> list[Entry]:
        """Return what is there now, or else the first to come within half a second."""
        return await self._read(">", BLOCK_MS)

    async def there(self) -> list[Entry]:
        """Return new entries that are there now: perhaps none."""
        return await self._read(">", None)

    async def _read(self, start: str, block_ms: int | None) -> list[Entry]:
        answer: Any = await self._client.xreadgroup(
            STREAM_GROUP, self._consumer, {STREAM: start}, count=self._count, block=block_ms
        )
        return answer[0][1] if answer else []

    async def of_the_dead(self) -> list[Entry]:
        """Take over entries that their consumer has not finished for some seconds."""
        answer: Any = await self._client.xautoclaim(
            STREAM, STREAM_GROUP, self._consumer, MIN_IDLE_MS, start_id=self._claim_from, count=self._count
        )
        self._claim_from = answer[0]
        # Those deleted by somebody are named apart, and no longer pending.
        return [*answer[1], *((entry_id, {}) for entry_id in answer[2])]

    async def retire(self) -> None:
        """Remove this consumer, unless it has pending entries: XGROUP DELCONSUMER would drop them."""
        await self._retire(keys=(STREAM,), args=(STREAM_GROUP, self._consumer))
