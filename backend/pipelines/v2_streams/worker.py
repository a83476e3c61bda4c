"""The stream worker: takes batches of orders from the stream, stores them, and applies them to the metrics.

``python -m backend.pipelines.v2_streams.worker`` is one consumer of the group; any number of them may run. What is
done with a batch stands in ``batch``; here is when, and what happens where a server fails.
"""

import asyncio
import gc
import logging
import sys
import time
from contextlib import AsyncExitStack
from enum import StrEnum

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from backend.clients.daemon import OUTAGES, Database, Outage, Report, open_postgres, open_redis, run_daemon
from backend.clients.tracing import Spans, spans_from_env, trace_id
from backend.pipelines.consumer_name import consumer_name
from backend.pipelines.v2_streams.batch import (
    METRICS,
    Batch,
    BatchScripts,
    ConsumerGroup,
    Entry,
    RowVanishedError,
    parse,
    store,
)
from backend.pipelines.v2_streams.reconcile import reconcile
from coffee_core.keys import STREAM
from coffee_core.settings import Settings
from coffee_core.tasks import run_together

_log = logging.getLogger("backend.pipelines.v2_streams.worker")  # run with -m this module is __main__

_CLAIM_EVERY_S = 2.0
"""Seconds between two claims of what dead consumers have left pending, and of what is pending nowhere."""
_CHECK_EVERY_S = 1.0
"""Seconds between two checks, or reconciliations, of the metrics."""


class Worker:
    """One consumer of the group: ``start`` it, ``step`` as long as it is to run, then ``retire`` it.

    It has one connection to PostgreSQL and, in a backlog, two to Redis. Up to three batches are in hand then:
    while one is stored, the one before is applied and the next one is read.
    """

    def __init__(
        self, connection: Database, client: Redis, consumer: str, batch_orders: int, spans: Spans | None = None
    ) -> None:
        self._connection = connection
        self._client = client
        self._batch_orders = batch_orders
        self._spans = spans
        self._group = ConsumerGroup(client, consumer, batch_orders)
        self._scripts = BatchScripts(client, consumer)
        self._read_ahead: Batch | None = None
        self._stored: Batch | None = None
        # First comes what was delivered to this name before, to a process that died or in an answer that was lost.
        self._own_pending = True
        self._metrics_consistent = True
        self._claim_due_s = 0.0
        self._check_due_s = 0.0

    async def start(self) -> None:
        """Create what is missing and reconcile where the metrics are not consistent."""
        created = await self._group.create_if_missing()
        if created:
            _log.info("created the consumer group")
        # With the group before it entries may have gone that were rows already, and yet to be counted.
        if created or not await self._scripts.are_metrics_consistent():
            await self._reconcile()

    async def step(self) -> int:
        """Process one batch, or wait half a second for one; return the number of its entries.

        In a backlog it is stored now and applied with the next step. Raises the errors of both servers: then
        nothing that is not finished has been acknowledged, and a new Worker under the same name takes it up.
        """
        batch = await self._next_batch()
        if batch.size:
            await self._process(batch, read_ahead=self._is_backlog(batch))
        elif self._is_check_due() and not await self._scripts.are_metrics_consistent():
            await self._reconcile()
        return batch.size

    async def retire(self) -> None:
        """Finish what is in hand, and take this consumer off the group where it has nothing pending."""
        if self._read_ahead is not None:
            await self._process(await self._next_batch(), read_ahead=False)
        await self._group.retire()

    async def _next_batch(self) -> Batch:
        if self._read_ahead is not None:
            batch, self._read_ahead = self._read_ahead, None
            return batch
        return parse(await self._read())

    async def _read(self) -> list[Entry]:
        """Return own pending entries first; then new ones and, now and then, those of dead ones or nobody's."""
        if self._own_pending:
            if entries := await self._group.pending():
                return entries
            self._own_pending = False
        if time.monotonic() >= self._claim_due_s:
            if count := await self._group.claim_stuck():
                _log.warning("took up %d entries that were pending nowhere", count)
                self._own_pending = True
                return await self._group.pending()
            if entries := await self._group.claim_stale():
                _log.info("took over %d entries of other consumers", len(entries))
                return entries
            self._claim_due_s = time.monotonic() + _CLAIM_EVERY_S
        return await self._group.read_blocking()

    def _is_backlog(self, batch: Batch) -> bool:
        # Pending entries, this consumer's own or another's, are only asked for while none is in hand here.
        return batch.size == self._batch_orders and not self._own_pending and time.monotonic() < self._claim_due_s

    async def _process(self, batch: Batch, *, read_ahead: bool) -> None:
        """Store a batch, while the one before is applied and, where asked, the next one is read.

        Where there is no next one, this one is applied too.
        """
        reading = [self._read_next()] if read_ahead else []
        await run_together(*reading, self._apply_stored(), store(self._connection, batch))
        self._stored = batch
        if self._read_ahead is None:
            await self._apply_stored()
        if not self._metrics_consistent and self._is_check_due():
            await self._reconcile()

    async def _read_next(self) -> None:
        if entries := await self._group.read_available():
            self._read_ahead = parse(entries)

    async def _apply_stored(self) -> None:
        if self._stored is None:
            return
        applied = await self._scripts.apply(self._stored)
        log_outcome(self._stored, self._spans)
        self._stored = None
        self._metrics_consistent = applied.consistent

    def _is_check_due(self) -> bool:
        now_s = time.monotonic()
        if now_s < self._check_due_s:
            return False
        self._check_due_s = now_s + _CHECK_EVERY_S
        return True

    async def _reconcile(self) -> None:
        drift = await reconcile(self._connection, self._client)
        if drift:
            _log.warning("reconciled the metrics with the table: %+d orders", drift.orders)


class Outcome(StrEnum):
    """What an entry became, as the log and its span name it."""

    SHOWN = "shown"
    DUPLICATE = "a duplicate"
    DEAD_LETTER = "a dead letter"


def log_outcome(batch: Batch, spans: Spans | None) -> None:
    """Log dead letters and deleted entries as warnings; of each order with a trace a debug line and a span."""
    for letter in batch.dead_letters:
        context = _log_context(batch, letter.entry_id)
        _log.warning("dead letter %s: %s: %s", letter.entry_id, letter.reason, letter.detail, extra=context)
    if batch.deleted:
        _log.warning("%d entries were deleted from the stream before they were read", len(batch.deleted))
    if not batch.traceparents or (spans is None and not _log.isEnabledFor(logging.DEBUG)):
        return
    for entry_id, outcome, message_id in _outcomes(batch):
        if entry_id in batch.traceparents:
            if outcome is not Outcome.DEAD_LETTER:  # already logged above
                text = outcome if message_id is None else f"{outcome}: order {message_id}"
                _log.debug("%s is %s", entry_id, text, extra=_log_context(batch, entry_id))
            if spans is not None:
                _end_span(spans, batch.traceparents[entry_id], entry_id, outcome, batch.read_at_ns)


def _log_context(batch: Batch, entry_id: str) -> dict[str, dict[str, str]]:
    """Return the fields of a line about an entry: its trace id, where it carries one."""
    traceparent = batch.traceparents.get(entry_id)
    return {"context": {"trace_id": trace_id(traceparent)} if traceparent else {}}


def _outcomes(batch: Batch) -> list[tuple[str, Outcome, str | None]]:
    """Return the id and the outcome of each entry, and the message id of those that are shown."""
    return [
        *(
            (entry_id, Outcome.SHOWN, message_id)
            for entry_id, message_id in zip(batch.orders.entry_ids, batch.orders.message_ids, strict=True)
        ),
        *((entry_id, Outcome.DUPLICATE, None) for entry_id in batch.duplicates),
        *((letter.entry_id, Outcome.DEAD_LETTER, None) for letter in batch.dead_letters),
    ]


def _end_span(spans: Spans, traceparent: str, entry_id: str, outcome: Outcome, began_ns: int) -> None:
    from opentelemetry.trace import SpanKind

    attributes = {
        "messaging.system": "redis",
        "messaging.destination.name": STREAM,
        "messaging.message.id": entry_id,
        "coffee.outcome": outcome.value,
    }
    parent = spans.parent(traceparent)
    spans.tracer.start_span(f"process {STREAM}", parent, SpanKind.CONSUMER, attributes, start_time=began_ns).end()


async def run_worker(
    stop: asyncio.Event,
    database_url: str,
    redis_url: str,
    consumer: str,
    batch_orders: int,
    spans: Spans | None = None,
) -> None:
    """Run a worker until ``stop`` is set, and then finish its current batch.

    After an outage another worker starts under the same name.
    """
    report = Report(redis_url, METRICS.standstill, "stream-worker")
    outage = Outage(stop, _log, report)
    while not stop.is_set():
        try:
            async with AsyncExitStack() as stack:
                client = await stack.enter_async_context(open_redis(redis_url))
                connection = await open_postgres(database_url)
                # Not close(), which would wait for a server that hangs.
                stack.callback(connection.terminate)
                worker = Worker(connection, client, consumer, batch_orders, spans)
                await worker.start()
                if outage.begins():
                    _log.info("ready, as consumer %s", consumer)
                while not stop.is_set():
                    await worker.step()
                    outage.over()
                await worker.retire()
        except ResponseError as error:
            if str(error).startswith(("NOGROUP", "UNBLOCKED")):
                # The stream was flushed or deleted, perhaps under a blocked read: the next start creates it again.
                _log.warning("the stream or its group has vanished: %s", error)
            else:
                await outage.failed(error)
        except (*OUTAGES, RowVanishedError) as error:
            await outage.failed(error)
    await report.close()


async def _run(stop: asyncio.Event) -> None:
    settings = Settings.attach()
    spans = spans_from_env("stream-worker")
    urls = (settings.database_url, settings.redis_url)
    with consumer_name(settings.home, "stream-worker", settings.worker_name) as name:
        await run_worker(stop, *urls, name, settings.worker_batch_orders, spans)
    if spans is not None:
        spans.close()


if __name__ == "__main__":
    # What the modules have made stays: in a backlog the collector would look through it many times a second.
    gc.freeze()
    sys.exit(run_daemon("stream-worker", _run))
