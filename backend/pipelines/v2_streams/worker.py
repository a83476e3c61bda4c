"""The loop: read what is there, store it, give it its effect."""

import asyncio
import gc
import logging
import os
import platform
import sys
import time
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from backend.clients.daemon import OUTAGES, Database, Outage, open_postgres, open_redis, run_daemon
from backend.clients.tracing import Spans, spans_from_env, trace_id
from backend.pipelines.v2_streams.batch import Batch, ConsumerGroup, Effects, Entry, RowVanishedError, parse, store
from backend.pipelines.v2_streams.reconcile import reconcile
from coffee_core.errors import ConfigError
from coffee_core.file_lock import lock_file
from coffee_core.keys import STREAM
from coffee_core.runstate import tell_ready
from coffee_core.settings import Settings

# A consumer name that stays: a worker that starts again takes up what was delivered to it under that name.


@contextmanager
def consumer_name(home: Path, given: str = "") -> Iterator[str]:
    """Hold a consumer name: the given one, else the host's with the lowest number no other worker here has.

    The number is held by a lock on a file under ``home``, which the kernel lets go of however the process ends.
    A given name is the operator's word that nobody else has it. (Two workers under one name would still count
    every order once, but do each other's work.) Raises ConfigError where the folder cannot be written.
    """
    if given:
        yield given
        return
    host = platform.node() or "worker"
    folder = home / "locks"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, number = _lowest_free(folder)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be used ({error}): set COFFEE_HOME or COFFEE_WORKER_NAME") from error
    try:
        yield f"{host}-{number}"
    finally:
        os.close(handle)


def _lowest_free(folder: Path) -> tuple[int, int]:
    number = 1
    while (handle := lock_file(folder / f"stream-worker-{number}.lock")) is None:
        number += 1
    return handle, number


# Several things at once, of which none outlives the others' failure.


async def together(*work: Coroutine[Any, Any, None]) -> None:
    """Run these at once, begun in this order, and return when all have ended.

    Where one fails the others are cancelled; its error is raised when they have ended too.
    """
    tasks = [asyncio.create_task(each) for each in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


# What is said of a batch that has had its effect: lines of the log and, where they are asked for, spans.


_log = logging.getLogger("backend.pipelines.v2_streams.worker")  # run with -m this module is __main__
_DEAD = "a dead letter"


def tell(batch: Batch, spans: Spans | None) -> None:
    """Say it."""
    for letter in batch.dead:
        context = _of(batch, letter.entry_id)
        _log.warning("dead letter %s: %s: %s", letter.entry_id, letter.reason, letter.detail, extra=context)
    if batch.gone:
        _log.warning("%d entries were deleted from the stream before they were read", len(batch.gone))
    if not batch.traces or (spans is None and not _log.isEnabledFor(logging.DEBUG)):
        return
    for entry_id, outcome in _outcomes(batch):
        if entry_id in batch.traces:
            if outcome is not _DEAD:  # which has its line
                _log.debug("%s is %s", entry_id, outcome, extra=_of(batch, entry_id))
            if spans is not None:
                _span(spans, batch.traces[entry_id], entry_id, outcome, batch.began_ns)


def _outcomes(batch: Batch) -> list[tuple[str, str]]:
    return [
        *((each.entry_id, f"shown: order {each.order.message_id}") for each in batch.placed),
        *((entry_id, "a duplicate") for entry_id in batch.duplicates),
        *((letter.entry_id, _DEAD) for letter in batch.dead),
    ]


def _span(spans: Spans, traceparent: str, entry_id: str, outcome: str, began_ns: int) -> None:
    from opentelemetry.trace import SpanKind

    attributes = {
        "messaging.system": "redis",
        "messaging.destination.name": STREAM,
        "messaging.message.id": entry_id,
        "coffee.outcome": outcome.partition(":")[0],
    }
    parent = spans.parent(traceparent)
    spans.tracer.start_span(f"process {STREAM}", parent, SpanKind.CONSUMER, attributes, start_time=began_ns).end()


def _of(batch: Batch, entry_id: str) -> dict[str, dict[str, str]]:
    """Return whose line of the log it is: of the entry's trace, where it carries one."""
    trace = batch.traces.get(entry_id)
    return {"context": {"trace_id": trace_id(trace)} if trace else {}}


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
        self._group = ConsumerGroup(client, consumer, batch_orders)
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


async def _run(stop: asyncio.Event) -> None:
    settings = Settings.attach()
    spans = spans_from_env("stream-worker")
    urls = (settings.database_url, settings.redis_url)
    with consumer_name(settings.home, settings.worker_name) as name:
        await run_worker(stop, *urls, name, settings.worker_batch_orders, spans)
    if spans is not None:
        spans.close()


if __name__ == "__main__":
    # What the modules have made stays: in a backlog the collector would look through it many times a second.
    gc.freeze()
    sys.exit(run_daemon("stream-worker", _run))
