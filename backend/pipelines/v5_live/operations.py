"""v5: an order is a row, and its transaction keeps the totals; a projector shows them at once.

``ingest`` accepts orders, ``projector`` is the daemon, ``audit`` and ``repair`` are for the command line.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from backend.pipelines.operations import PipelineOperations
from coffee_core.pipelines.constants import V5

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


class LiveOperations(PipelineOperations):
    """v5: PostgreSQL live."""

    pipeline = V5

    def open_ingest(self, connections: Connections) -> Ingest:
        """Return the ingest that commits a row and what it adds to the totals."""
        from backend.pipelines.v5_live.ingest import LiveIngest

        return LiveIngest(connections)

    def open_lookup(self, connections: Connections) -> Lookup:
        """Return the lookup by the row and the snapshot that is shown."""
        from backend.pipelines.status import SnapshotLookup
        from backend.pipelines.v5_live.projector import Fence

        def snapshot_of(text: str) -> str | None:
            fence = Fence.parse(text)
            return fence.snapshot if fence else None

        return SnapshotLookup(connections.postgres, connections.redis, V5, snapshot_of)

    def open_windows(self, connections: Connections) -> WindowsSource:
        """Return windows summed from the rows."""
        from backend.pipelines.windows import RowWindows

        return RowWindows(connections.postgres, V5)

    def open_xray(self, connections: Connections) -> XRay:
        """Return the statement that stores and counts."""
        from backend.pipelines.v5_live.xray import LiveXRay

        return self._open_xray(connections, LiveXRay)

    def open_standstill_watch(self, connections: Connections) -> StandstillWatch:
        """Return the watch of the projector."""
        from backend.pipelines.v5_live.standstill import ProjectorWatch

        return ProjectorWatch(connections.redis)

    async def open_audit(
        self, stack: AsyncExitStack, servers: Servers, *, unique_timestamps: bool, deep: bool
    ) -> Callable[[], Awaitable[Balance]]:
        """Return the audit of rows, kept totals and metrics; there is no log to compare ids with."""
        from backend.pipelines.v5_live.audit import audit_v5

        del stack, deep
        return partial(audit_v5, servers, unique_timestamps=unique_timestamps)

    async def reconcile(self, settings: Settings, settle_s: float) -> Mended:
        """Bring the kept totals back to the rows, and show them."""
        from backend.pipelines.v5_live.repair import reconcile

        del settle_s
        return await reconcile(settings)


OPERATIONS = LiveOperations()
