"""v3: an order is a record of a Kafka topic; the Flink job (``flink/``) stores it and shows it.

``topic`` takes orders and answers for one; ``audit`` and ``repair`` are for the command line.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from backend.pipelines.operations import PipelineOperations
from coffee_core.keys import FLINK_GROUP, TOPIC
from coffee_core.pipelines.constants import V3

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
    from backend.pipelines.repair import Mended, Progress, Replay, Savepoint
    from backend.pipelines.standstill import StandstillWatch
    from backend.pipelines.status import Lookup
    from backend.pipelines.windows import WindowsSource
    from backend.pipelines.xray import XRay
    from coffee_core.settings import Settings


class KafkaFlinkOperations(PipelineOperations):
    """v3: Kafka and Flink."""

    pipeline = V3

    def open_ingest(self, connections: Connections) -> Ingest:
        """Return the ingest that sends a record to the topic."""
        from backend.pipelines.topic.ingest import open_topic_ingest

        return open_topic_ingest(connections, V3)

    def open_lookup(self, connections: Connections) -> Lookup:
        """Return the lookup by the remembered keys, then by the row."""
        from backend.pipelines.topic.status import TopicLookup

        return TopicLookup(connections.postgres, connections.redis, V3)

    def open_windows(self, connections: Connections) -> WindowsSource:
        """Return the windows as the job keeps them in Redis."""
        from backend.pipelines.windows import JobWindows

        return JobWindows(connections.redis, V3)

    def open_xray(self, connections: Connections) -> XRay:
        """Return the record, the row and the totals."""
        from backend.pipelines.v3_kafka.xray import JobXRay

        return self._open_xray(connections, JobXRay)

    def open_lag(self, connections: Connections) -> LagSource:
        """Return the lag of the job, as far as Kafka knows it."""
        from backend.pipelines.topic.lag import TopicLag

        return TopicLag(connections.settings, TOPIC, {FLINK_GROUP: "at most, since the job's last checkpoint"})

    def open_live_log(self, settings: Settings, *, runs_here: bool) -> LiveLog:
        """Return the topic as the log; Kafka is asked for its length only where v3 runs here."""
        from backend.pipelines.topic.status import TopicLog

        assert V3.info.log is not None
        return TopicLog(settings if runs_here else None, V3.info.log)

    def open_standstill_watch(self, connections: Connections) -> StandstillWatch:
        """Return the watch of the job's counts and its submitter, and of the end of the topic."""
        from backend.pipelines.v3_kafka.last_records import LastRecords
        from backend.pipelines.v3_kafka.standstill import JobWatch

        last_records = LastRecords(connections.settings)
        connections.run_beside(last_records.run)
        return JobWatch(connections.redis, lambda: last_records.standstill)

    async def open_audit(
        self, stack: AsyncExitStack, servers: Servers, *, unique_timestamps: bool, deep: bool
    ) -> Callable[[], Awaitable[Balance]]:
        """Return the audit of the topic against the job's state and the rows."""
        from backend.clients.kafka import open_logs
        from backend.pipelines.topic.compare import compare_ids
        from backend.pipelines.v3_kafka.audit import audit_v3

        logs = await stack.enter_async_context(open_logs(servers.settings))

        async def take_balance() -> Balance:
            balance = await audit_v3(servers, logs, unique_timestamps=unique_timestamps)
            if not deep:
                return balance
            # Below the offsets that the job has committed both sinks were flushed before.
            committed = await logs.committed(FLINK_GROUP, TOPIC)
            return replace(balance, deep=await compare_ids(servers, logs, V3, committed))

        return take_balance

    async def reconcile(self, settings: Settings, settle_s: float) -> Mended:
        """Compare only: the job writes whole totals from its state, which would undo a correction."""
        from backend.pipelines.v3_kafka.repair import compare

        return await compare(settings, settle_s)

    async def replay(self, settings: Settings, progress: Progress) -> Replay:
        """Count the whole topic again, from empty state."""
        from backend.pipelines.v3_kafka.repair import replay_v3

        return await replay_v3(settings, progress)

    async def take_savepoint(self, settings: Settings, *, stop: bool) -> Savepoint:
        """Take a savepoint of the job."""
        from backend.pipelines.v3_kafka.repair import take_savepoint

        return await take_savepoint(settings, stop=stop)

    async def settle_dead_letters(
        self, settings: Settings, ids: tuple[str, ...], action: str | None, repairs: Mapping[str, str]
    ) -> list[tuple[Letter, str]]:
        """Send letters to the topic again, or mark them as dealt with."""
        from backend.pipelines.topic.letters import settle_dead_letters

        return await settle_dead_letters(settings, V3, ids, action, repairs)


OPERATIONS = KafkaFlinkOperations()
