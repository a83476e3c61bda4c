"""The kafka-aggregator: takes records from the topic and counts them, with its own offsets in the same script.

``python -m backend.pipelines.v4_workers.aggregator`` is one member of the group; any number of them may run. It
waits for no PostgreSQL: what the workers have judged otherwise is taken out of the metrics afterwards
(``reconcile``).
"""

import asyncio
import gc
import logging
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec
from redis.asyncio import Redis

from backend.clients.daemon import (
    OUTAGES,
    Database,
    RunScript,
    open_postgres,
    open_redis,
    open_script,
    run_daemon,
    sleep,
)
from backend.pipelines.balance import is_zero
from backend.pipelines.v4_workers.member import NotOursError, run_member
from backend.pipelines.v4_workers.reconcile import METRICS, PACKAGE, SCRIPT_KEYS, read_stored, reconcile
from backend.pipelines.v4_workers.records import Portion, Position, parse
from coffee_core.errors import CoffeeError
from coffee_core.keys import AGGREGATOR_GROUP
from coffee_core.menu import DRINKS, STORES
from coffee_core.resources import lua
from coffee_core.settings import Settings
from coffee_core.tasks import end_tasks

_log = logging.getLogger("backend.pipelines.v4_workers.kafka-aggregator")  # run with -m this module is __main__

_MOST_RECORDS = 4_000
_CHECK_EVERY_S = 1.0
"""Seconds between two looks whether the metrics must be reconciled."""
_SHARE = 0.1
"""Share of the time that reconciling may take: a scan of many rows makes it rare."""

COUNT_BATCH = lua(PACKAGE, "count_batch")
"""The script that counts a batch."""

_KINDS = [(drink, store) for drink in DRINKS for store in STORES]
_KIND = {kind: index for index, kind in enumerate(_KINDS)}


class Counting:
    """Counts portions of the topic, each as a whole, and only where it follows on what was counted before."""

    def __init__(self, client: Redis, dedup_horizon_ms: int, count: RunScript) -> None:
        """``count`` runs ``count_batch.lua``."""
        self._client = client
        self._horizon_us = dedup_horizon_ms * 1_000
        self._count = count

    async def positions(self, partitions: Sequence[int]) -> Mapping[int, Position]:
        """Return where each of these partitions goes on. Raises an error of Redis."""
        fields = list(map(str, partitions))
        async with self._client.pipeline(transaction=True) as read:
            read.hmget(METRICS.offsets, fields)
            read.hmget(METRICS.last_records, fields)
            offsets, marks = await read.execute()
        found = zip(partitions, offsets, marks, strict=True)
        return {number: Position(int(offset or 0), mark or "") for number, offset, mark in found}

    async def publish(self, positions: Mapping[int, int]) -> None:
        """Do nothing: the offsets are in Redis already."""

    async def process(self, portions: Sequence[Portion]) -> None:
        """Count them. Raises NotOursError where one was refused, the others are counted then; errors of Redis."""
        parsed = [parse(portion.records) for portion in portions]
        orders = [order for of_portion, _ in parsed for order in of_portion.orders]
        batch = {
            "portions": [
                (
                    portion.partition,
                    portion.first_offset,
                    portion.next_offset,
                    len(of_portion),
                    len(malformed),
                    portion.last_record,
                )
                for portion, (of_portion, malformed) in zip(portions, parsed, strict=True)
            ],
            "kinds": _KINDS,
            "kind": [_KIND[order.drink, order.store] for order in orders],
            "cents": [order.price_cents for order in orders],
            "accepted_at_us": [order.accepted_at_us for order in orders],
        }
        ids = b"".join([order.message_id.bytes for order in orders])
        args = (msgspec.json.encode(batch), ids, self._horizon_us)
        _, _, _, *refused = await self._count(SCRIPT_KEYS, args)
        if refused:
            raise NotOursError


class Reconciler:
    """Looks now and then whether the metrics must be reconciled, and does so; no record waits for it."""

    def __init__(self, database_url: str, client: Redis) -> None:
        self._database_url = database_url
        self._client = client
        self._check = client.register_script(lua(PACKAGE, "check_metrics"))
        self._stop = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Look for the length of the block."""
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            self._stop.set()
            await end_tasks(task)  # what fails is logged and tried again

    async def _run(self) -> None:
        while not self._stop.is_set():
            try:
                connection = await open_postgres(self._database_url)
                try:
                    while not self._stop.is_set():
                        took_s = await self._look(connection)
                        await sleep(max(_CHECK_EVERY_S, took_s / _SHARE), self._stop)
                finally:
                    connection.terminate()
            except (CoffeeError, *OUTAGES) as error:
                _log.debug("whether the metrics must be reconciled is not known: %s", error)
                await sleep(_CHECK_EVERY_S, self._stop)

    async def _look(self, connection: Database) -> float:
        """Reconcile where that is due; return how many seconds it took."""
        consistent, settled = await self._check(keys=SCRIPT_KEYS)
        if consistent and settled == (await read_stored(connection)).doubts:
            return 0.0
        began_s = time.monotonic()
        drift = await reconcile(connection, self._client)
        if drift is not None and not is_zero(drift):
            _log.warning("reconciled the metrics with the table: %+d orders", -drift.orders)
        return time.monotonic() - began_s


async def run_aggregator(stop: asyncio.Event, settings: Settings) -> None:
    """Run a member of the aggregators' group until ``stop`` is set."""

    async def open_counting(stack: AsyncExitStack) -> Counting:
        client = await stack.enter_async_context(open_redis(settings.redis_url))
        await stack.enter_async_context(Reconciler(settings.database_url, client).running())
        count = await stack.enter_async_context(open_script(settings.redis_url, COUNT_BATCH))
        return Counting(client, settings.dedup_horizon_ms, count)

    await run_member(
        stop, settings, AGGREGATOR_GROUP, "kafka-aggregator", METRICS.standstill, _MOST_RECORDS, open_counting
    )


async def _run(stop: asyncio.Event) -> None:
    await run_aggregator(stop, Settings.attach())


if __name__ == "__main__":
    # What the modules have made stays: in a backlog the collector would look through it many times a second.
    gc.freeze()
    sys.exit(run_daemon("kafka-aggregator", _run))
