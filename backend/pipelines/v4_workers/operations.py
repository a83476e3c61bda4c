"""v4: an order is a record of a Kafka topic; one group of workers stores it, another counts it.

``topic`` takes orders; ``worker`` and ``aggregator`` are the daemons, members of their groups by ``member``, which
make of a record what ``records`` says; ``reconcile`` is what the two agree by. ``status`` and ``standstill``
answer for the API, ``audit`` and ``repair`` are for the command line.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from backend.pipelines.operations import PipelineOperations
from coffee_core.keys import AGGREGATOR_GROUP, WORKER_GROUP, WORKERS_TOPIC
from coffee_core.pipelines.constants import V4

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from contextlib import AsyncExitStack

    from backend.clients.connections import Connections
    from backend.clients.servers import Servers
    from backend.pipelines.balance import Balance
    from backend.pipelines.dead_letters import Letter
    from backend.pipelines.lag import LagSource
    from backend.pipelines.live import LiveLog
    from backend.pipelines.operations import Ingest
    from backend.pipelines.repair import Mended, Progress, Replay
    from backend.pipelines.standstill import StandstillWatch
    from backend.pipelines.status import Lookup
    from backend.pipelines.xray import XRay
    from coffee_core.settings import Settings


class KafkaWorkersOperations(PipelineOperations):
    """v4: Kafka and workers."""

    pipeline = V4

    def open_ingest(self, connections: Connections) -> Ingest:
        """Return the ingest that sends a record to the topic."""
        from backend.pipelines.topic.ingest import open_topic_ingest

        return open_topic_ingest(connections, V4)

    def open_lookup(self, connections: Connections) -> Lookup:
        """Return the lookup by the remembered keys, the row and the aggregators' offsets."""
        from backend.pipelines.v4_workers.status import WorkersLookup

        return WorkersLookup(connections.postgres, connections.redis, V4)

    def open_xray(self, connections: Connections) -> XRay:
        """Return the record and what both groups make of it."""
        from backend.pipelines.v4_workers.xray import WorkersXRay

        horizon_ms = connections.settings.dedup_horizon_ms
        return self._open_xray(connections, partial(WorkersXRay, dedup_horizon_ms=horizon_ms))

    def open_lag(self, connections: Connections) -> LagSource:
        """Return the lag of both groups."""
        from backend.pipelines.topic.lag import TopicLag

        groups = {WORKER_GROUP: "not stored", AGGREGATOR_GROUP: "not counted"}
        return TopicLag(connections.settings, WORKERS_TOPIC, groups)

    def open_live_log(self, settings: Settings, *, runs_here: bool) -> LiveLog:
        """Return the topic as the log; Kafka is asked for its length only where v4 runs here."""
        from backend.pipelines.v4_workers.status import GroupsLog

        assert V4.info.log is not None
        return GroupsLog(settings if runs_here else None, V4.info.log)

    def open_standstill_watch(self, connections: Connections) -> StandstillWatch:
        """Return the watch of both groups."""
        from backend.pipelines.v4_workers.standstill import GroupsWatch

        return GroupsWatch(connections.redis)

    async def open_audit(
        self, stack: AsyncExitStack, servers: Servers, *, unique_timestamps: bool, deep: bool
    ) -> Callable[[], Awaitable[Balance]]:
        """Return the audit of the topic against the rows, and of the rows against the metrics."""
        from backend.clients.kafka import open_logs
        from backend.pipelines.topic.compare import compare_ids
        from backend.pipelines.v4_workers.audit import audit_v4
        from backend.pipelines.v4_workers.reconcile import read_stored

        logs = await stack.enter_async_context(open_logs(servers.settings))

        async def take_balance() -> Balance:
            balance = await audit_v4(servers, logs, unique_timestamps=unique_timestamps)
            if not deep:
                return balance
            finished = (await read_stored(servers.database)).offsets
            return replace(balance, deep=await compare_ids(servers, logs, V4, finished))

        return take_balance

    async def reconcile(self, settings: Settings, settle_s: float) -> Mended:
        """Take a cut of the metrics and add what they differ from the rows by."""
        from backend.pipelines.v4_workers.repair import reconcile_v4

        del settle_s
        return await reconcile_v4(settings)

    async def replay(self, settings: Settings, progress: Progress) -> Replay:
        """Count the whole topic again, from offset 0."""
        from backend.pipelines.v4_workers.repair import replay_v4

        return await replay_v4(settings, progress)

    async def settle_dead_letters(
        self, settings: Settings, ids: tuple[str, ...], action: str | None, repairs: Mapping[str, str]
    ) -> list[tuple[Letter, str]]:
        """Send letters to the topic again, or mark them as dealt with."""
        from backend.pipelines.topic.letters import settle_dead_letters

        return await settle_dead_letters(settings, V4, ids, action, repairs)


OPERATIONS = KafkaWorkersOperations()
