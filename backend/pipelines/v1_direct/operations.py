"""v1: an order is a row, committed by the request; a cron shows the totals.

``ingest`` accepts orders, ``aggregator`` is the cron, ``audit`` and ``repair`` are for the command line.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from backend.pipelines.operations import PipelineOperations
from coffee_core.pipelines.constants import V1

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AsyncExitStack

    from backend.clients.connections import Connections
    from backend.clients.servers import Servers
    from backend.pipelines.balance import Balance
    from backend.pipelines.operations import Ingest
    from backend.pipelines.repair import Mended
    from backend.pipelines.standstill import StandstillWatch
    from backend.pipelines.status import Lookup
    from backend.pipelines.windows import WindowsSource
    from backend.pipelines.xray import XRay
    from coffee_core.settings import Settings


class DirectOperations(PipelineOperations):
    """v1: PostgreSQL direct."""

    pipeline = V1

    def open_ingest(self, connections: Connections) -> Ingest:
        """Return the ingest that inserts a row and commits it."""
        from backend.pipelines.v1_direct.ingest import DirectIngest

        return DirectIngest(connections.postgres)

    def open_lookup(self, connections: Connections) -> Lookup:
        """Return the lookup by the row and the last run's snapshot."""
        from backend.pipelines.status import SnapshotLookup
        from backend.pipelines.v1_direct.fence import Fence

        return SnapshotLookup(connections.postgres, connections.redis, V1, lambda text: Fence.parse(text).snapshot)

    def open_windows(self, connections: Connections) -> WindowsSource:
        """Return windows summed from the rows."""
        from backend.pipelines.windows import RowWindows

        return RowWindows(connections.postgres, V1)

    def open_xray(self, connections: Connections) -> XRay:
        """Return the insert and the last run."""
        from backend.pipelines.v1_direct.xray import DirectXRay

        return self._open_xray(connections, DirectXRay)

    def open_standstill_watch(self, connections: Connections) -> StandstillWatch:
        """Return the watch of the aggregator's runs."""
        from backend.pipelines.v1_direct.standstill import RunsWatch

        return RunsWatch(connections.redis, connections.settings.aggregator_interval_s)

    async def open_audit(
        self, stack: AsyncExitStack, servers: Servers, *, unique_timestamps: bool, deep: bool
    ) -> Callable[[], Awaitable[Balance]]:
        """Return the audit of the rows against the metrics; there is no log to compare ids with."""
        from backend.pipelines.v1_direct.audit import audit_v1

        del stack, deep
        return partial(audit_v1, servers, unique_timestamps=unique_timestamps)

    async def reconcile(self, settings: Settings, settle_s: float) -> Mended:
        """Run the aggregator once."""
        from backend.pipelines.v1_direct.repair import reconcile

        del settle_s
        return await reconcile(settings)


OPERATIONS = DirectOperations()
