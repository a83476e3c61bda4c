"""A new balance for v2 after its log was lost: begun from the rows there are, and said ever after.

What a flushed stream held unprocessed is gone and cannot be counted. All that can be had back is an audit that
sees what happens from now on.
"""

from backend.lab.audit_rows import unlogged
from backend.lab.audit_tally import read_shown
from backend.lab.audit_v2 import audit_v2
from backend.lab.resources import lua
from backend.lab.servers import Servers, open_servers
from coffee_core.errors import CoffeeError
from coffee_core.keys import MetricKeys
from coffee_core.pipelines import Pipeline
from coffee_core.settings import Settings

_METRICS = MetricKeys(Pipeline.V2)
_ATTEMPTS = 20


async def begin_new_balance(settings: Settings) -> int:
    """Take what the log does not account for as given; return how many orders that are, 0 where it was whole.

    Rows that were put in past the log are not among them: they stay wrong. Orders may keep flowing. Raises
    UnreachableError, and CoffeeError where a server refuses or others keep doing the same.
    """
    async with open_servers(settings) as servers:
        for _ in range(_ATTEMPTS):
            short = await _attempt(servers)
            if short is not None:
                return short
    raise CoffeeError("others kept beginning a new balance, too: try again")


async def _attempt(servers: Servers) -> int | None:
    _, _, counters = await read_shown(servers.client, _METRICS)
    balance = await audit_v2(servers, unique_timestamps=False)
    short = balance.log_short - await unlogged(servers.database, Pipeline.V2)
    if short <= 0:
        return 0
    script = servers.client.register_script(lua("new_balance"))
    return (
        short if await script(keys=(_METRICS.counters,), args=(counters.get("written_off", ""), short)) else None
    )
