"""The loop: read what is there, store it, give it its effect."""

import asyncio
import logging
import time
from contextlib import AsyncExitStack

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from backend.daemon import OUTAGES, Database, Outage, open_postgres, open_redis
from backend.spans import Spans
from backend.stream_worker.effects import Effects
from backend.stream_worker.entries import Batch, Entry, parse
from backend.stream_worker.group import Group
from backend.stream_worker.reconcile import reconcile
from backend.stream_worker.store import RowVanishedError, store
from backend.stream_worker.telling import tell
from backend.stream_worker.together import together
from coffee_core.runstate import tell_ready

_log = logging.getLogger(__name__)
_CLAIM_EVERY_S = 2.0
_CHECK_EVERY_S = 1.0


class Worker:
    """A stream worker with one connection to PostgreSQL and, in a backlog, two to Redis."""

    def __init__(
        self, connection: Database, client: Redis, consumer: str, batch_orders: int, spans: Spans | None = None
    ) -> None:
        self._spans = spans
        self._connection = connection
        self._client = client
        self._batch_orders = batch_orders
        self._group = Group(client, consumer, batch_orders)
        self._effects = Effects(client, consumer)
        # First comes what was delivered to this name before, to a process that died or in an answer that was lost.
        self._own_pending = True
        self._ahead: Batch | None = None
        self._stored: Batch | None = None
        self._sound = True
        self._claim_at = 0.0
        self._check_at = 0.0

    async def start(self) -> None:
        """Create what is missing and reconcile where the metrics are not sound."""
        if await self._group.ensure():
            _log.info("created the consumer group")
        if not await self._effects.sound():
            await self._reconcile()

    async def step(self) -> int:
        """Take one batch in hand, or wait half a second for one; return the number of entries.

        It is taken to its end; in a backlog with the next step. Raises the errors of both servers: then nothing
        that is not finished has been acknowledged, and a new Worker under the same name takes it up.
        """
        batch, self._ahead = self._ahead or parse(await self._next()), None
        if batch.entries:
            await self._advance(batch, read_on=self._backlog(batch))
        elif self._check_due() and not await self._effects.sound():
            await self._reconcile()
        return batch.entries

    async def retire(self) -> None:
        """Finish what is in hand, and take this consumer off the group where it has nothing pending."""
        if self._ahead is not None:
            batch, self._ahead = self._ahead, None
            await self._advance(batch, read_on=False)
        await self._group.retire()

    async def _advance(self, batch: Batch, *, read_on: bool) -> None:
        """Store a batch, while the one before is shown and, in a backlog, the next is read.

        Where there is no next one, this one is shown too.
        """
        ahead = [self._read_ahead()] if read_on else []
        await together(*ahead, self._show(), store(self._connection, batch))
        self._stored = batch
        if self._ahead is None:
            await self._show()
        if not self._sound and self._check_due():
            await self._reconcile()

    def _backlog(self, batch: Batch) -> bool:
        # Pending entries, this consumer's own or another's, are only asked for while none is in hand here.
        return batch.entries == self._batch_orders and not self._own_pending and time.monotonic() < self._claim_at

    async def _read_ahead(self) -> None:
        if entries := await self._group.there():
            self._ahead = parse(entries)

    async def _show(self) -> None:
        if self._stored is None:
            return
        applied = await self._effects.apply(self._stored)
        tell(self._stored, self._spans)
        self._stored = None
        self._sound = applied.sound

    def _check_due(self) -> bool:
        now = time.monotonic()
        if now < self._check_at:
            return False
        self._check_at = now + _CHECK_EVERY_S
        return True

    async def _next(self) -> list[Entry]:
        if self._own_pending:
            if entries := await self._group.own():
                return entries
            self._own_pending = False
        if time.monotonic() >= self._claim_at:
            if entries := await self._group.of_the_dead():
                _log.info("took over %d entries of other consumers", len(entries))
                return entries
            self._claim_at = time.monotonic() + _CLAIM_EVERY_S
        return await self._group.new()

    async def _reconcile(self) -> None:
        drift = await reconcile(self._connection, self._client)
        if drift:
            _log.warning("reconciled the metrics with the table: %+d orders", drift.orders)


async def run_worker(
    stop: asyncio.Event,
    database_url: str,
    redis_url: str,
    consumer: str,
    batch_orders: int,
    spans: Spans | None = None,
) -> None:
    """Work until told to stop, whatever the servers do; the batch in hand is finished first."""
    outage = Outage(stop, _log)
    said_ready = False
    while not stop.is_set():
        try:
            async with AsyncExitStack() as stack:
                client = await stack.enter_async_context(open_redis(redis_url))
                connection = await open_postgres(database_url)
                # Not close(), which would wait for a server that hangs.
                stack.callback(connection.terminate)
                worker = Worker(connection, client, consumer, batch_orders, spans)
                await worker.start()
                tell_ready(ready=True)
                if not said_ready:
                    _log.info("ready, as consumer %s", consumer)
                    said_ready = True
                while not stop.is_set():
                    await worker.step()
                    outage.over()
                await worker.retire()
        except ResponseError as error:
            await _response_error(error, outage)
        except (*OUTAGES, RowVanishedError) as error:
            await outage.failed(error)


async def _response_error(error: ResponseError, outage: Outage) -> None:
    if str(error).startswith(("NOGROUP", "UNBLOCKED")):
        # The stream was flushed or deleted, perhaps under a blocked read: the next start creates it again.
        _log.warning("the stream or its group has vanished: %s", error)
        return
    await outage.failed(error)
