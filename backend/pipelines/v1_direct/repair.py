"""``coffee reconcile v1``: one run of the aggregator, at once."""

from backend.clients.servers import open_servers
from backend.pipelines.balance import read_shown, whole_number
from backend.pipelines.repair import Mended
from backend.pipelines.v1_direct.aggregator import Aggregator
from backend.pipelines.v1_direct.audit import audit_v1
from backend.pipelines.v1_direct.fence import METRICS
from coffee_core.errors import CoffeeError
from coffee_core.pipelines.constants import V1
from coffee_core.settings import Settings

_ATTEMPTS = 20


async def reconcile(settings: Settings) -> Mended:
    """Write the metrics anew. Raises UnreachableError, and CoffeeError where other runs keep coming first."""
    async with open_servers(settings) as servers:
        aggregator = Aggregator(servers.database, servers.client)
        for _ in range(_ATTEMPTS):
            before = await audit_v1(servers, unique_timestamps=False)
            _, _, counters = await read_shown(servers.client, METRICS)
            # The schedule is the daemon's: its next run stays where it was announced.
            if await aggregator.run(whole_number("next_run_us", counters.get("next_run_us"))):
                return Mended.of_drift(V1, before.drift)
    raise CoffeeError("other runs of the aggregator kept coming first: try again")
