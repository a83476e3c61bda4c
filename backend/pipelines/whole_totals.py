"""The metrics of a pipeline whose totals PostgreSQL has: replaced as a whole, over the fence of the last time."""

import json
from collections.abc import Mapping

from backend.clients.daemon import RunScript
from coffee_core.clock import now_us
from coffee_core.keys import MetricKeys
from coffee_core.resources import lua
from coffee_core.totals import Totals

WRITE_TOTALS = lua("backend.pipelines", "write_totals")
"""The script that writes them."""


async def replace_totals(
    write: RunScript,
    keys: MetricKeys,
    fences: tuple[str, str],
    totals: Totals,
    latency: Mapping[int, int],
    counters: Mapping[str, int],
) -> bool:
    """Write the metrics over the first of the ``fences``, which the second then replaces, and add to the latency.

    False, with nothing written, where another process came first. What is read from PostgreSQL after its fence
    contains all that the fence stands for: so nothing newer is overwritten. Raises an error of Redis.
    """
    values = {
        "orders": totals.orders,
        "revenue": totals.revenue_cents,
        "hashes": [dict(fields) for fields in totals.hashes],
        "latency": latency,
        "counters": {"last_update_us": now_us(), **counters},
    }
    written = await write((keys.fence, keys.counters, keys.latency, *keys.metrics), (*fences, json.dumps(values)))
    return bool(written)
