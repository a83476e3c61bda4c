"""v2: an order is an entry of a Redis stream; workers store it and show it.

``ingest`` takes orders; ``worker`` is the daemon and ``batch`` what it does with a batch; ``status`` answers for
an order; ``audit``, ``reconcile`` and ``repair`` are for the command line.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from backend.pipelines.operations import PipelineOperations
from coffee_core.pipelines.constants import V2

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


class StreamOperations(PipelineOperations):
    """v2: Redis Streams."""

    pipeline = V2

    def open_ingest(self, connections: Connections) -> Ingest:
        """Return the ingest that adds an entry to the stream."""
        from backend.pipelines.v2_streams.ingest import StreamIngest

        return StreamIngest(connections.redis, connections.settings.dedup_horizon_ms)

    def open_lookup(self, connections: Connections) -> Lookup:
        """Return the lookup by the stream, then by the row."""
        from backend.pipelines.v2_streams.status import StreamsLookup

        return StreamsLookup(connections.postgres, connections.redis)

    def open_xray(self, connections: Connections) -> XRay:
        """Return the entry and what the worker makes of it."""
        from backend.pipelines.v2_streams.xray import StreamXRay

        return self._open_xray(connections, StreamXRay)

    def open_lag(self, connections: Connections) -> LagSource:
        """Return the lag of the stream's group and its consumers."""
        from backend.pipelines.v2_streams.lag import StreamLag

        return StreamLag(connections.redis)

    def open_live_log(self, settings: Settings, *, runs_here: bool) -> LiveLog:
        """Return the stream as the log; its counters are in Redis, whether v2 runs here or not."""
        from backend.pipelines.v2_streams.status import StreamLog

        del settings, runs_here
        return StreamLog()

    def open_standstill_watch(self, connections: Connections) -> StandstillWatch:
        """Return the watch of the stream and its consumer group."""
        from backend.pipelines.v2_streams.standstill import StreamWatch

        return StreamWatch(connections.redis)

    async def open_audit(
        self, stack: AsyncExitStack, servers: Servers, *, unique_timestamps: bool, deep: bool
    ) -> Callable[[], Awaitable[Balance]]:
        """Return the audit of the stream against the rows."""
        from backend.pipelines.v2_streams.audit import audit_v2, compare_ids_v2

        del stack

        async def take_balance() -> Balance:
            balance = await audit_v2(servers, unique_timestamps=unique_timestamps)
            return replace(balance, deep=await compare_ids_v2(servers)) if deep else balance

        return take_balance

    async def reconcile(self, settings: Settings, settle_s: float) -> Mended:
        """Take a cut of the metrics and add what they differ from the rows by."""
        from backend.pipelines.v2_streams.repair import reconcile

        del settle_s
        return await reconcile(settings)

    async def replay(self, settings: Settings, progress: Progress) -> Replay:
        """Let running workers claim the pending entries of dead ones."""
        from backend.pipelines.v2_streams.repair import replay_v2

        return await replay_v2(settings, progress)

    async def begin_new_balance(self, settings: Settings) -> int:
        """Take the rows that exist as given."""
        from backend.pipelines.v2_streams.repair import begin_new_balance

        return await begin_new_balance(settings)

    async def settle_dead_letters(
        self, settings: Settings, ids: tuple[str, ...], action: str | None, repairs: Mapping[str, str]
    ) -> list[tuple[Letter, str]]:
        """Move letters back to the stream, or drop them."""
        from backend.pipelines.v2_streams.repair import settle_dead_letters

        return await settle_dead_letters(settings, ids, action, repairs)


OPERATIONS = StreamOperations()
