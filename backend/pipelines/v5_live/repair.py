"""``coffee reconcile v5``: the kept totals are brought back to the rows, and the metrics to the totals."""

from backend.clients.servers import open_servers
from backend.pipelines.repair import Mended
from backend.pipelines.v5_live.audit import audit_v5
from backend.pipelines.v5_live.projector import Projector
from coffee_core.pipelines.constants import V5
from coffee_core.resources import sql
from coffee_core.settings import Settings

_LOCK, _CORRECT = (sql("backend.pipelines.v5_live", name) for name in ("lock_repair", "correct_totals"))


async def reconcile(settings: Settings) -> Mended:
    """Add what the totals lack, and write the metrics; orders keep flowing meanwhile. Raises UnreachableError."""
    async with open_servers(settings) as servers:
        before = await audit_v5(servers, unique_timestamps=False)
        async with servers.database.transaction():
            await servers.database.execute(_LOCK)
            await servers.database.execute(_CORRECT)
        await Projector(servers.database, servers.client).show(whole=True)
    return Mended.of_drift(V5, before.drift)
