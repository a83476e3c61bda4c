"""v1 under X-ray: the insert, and the run that adds up all rows and replaces the totals."""

import json

from backend.clients.redis import Script
from backend.pipelines.v1_direct.fence import Fence
from backend.pipelines.xray import RowXRay, StoredOrder, psql, redis_cli
from coffee_core.clock import to_datetime
from coffee_core.resources import lua, sql
from coffee_core.xray import Step

_PACKAGE = "backend.pipelines.v1_direct"
_INSERT = sql(_PACKAGE, "insert_order")
_TOTALS = sql(_PACKAGE, "totals")
_WRITE = Script(lua("backend.pipelines", "write_totals"))


class DirectXRay(RowXRay):
    """The API's statement, the aggregator's, and the script that writes what that has found."""

    async def between(self, stored: StoredOrder) -> list[Step]:
        """Return the insert, and the last run as it would be made again."""
        order = stored.order
        insert = psql(
            "insert",
            _INSERT,
            *(order.message_id, order.drink, order.store, order.price_cents),
            *(order.ordered_at_us, order.accepted_at_us),
            at_us=stored.stored_us,
            note="committed before the answer; the row is there: INSERT 0 0",
        )
        fence, totals, _ = await self._shown()
        if fence is None:
            return [insert]
        last = Fence.parse(fence)
        values = {
            "orders": totals.orders,
            "revenue": totals.revenue_cents,
            "hashes": [dict(each) for each in totals.hashes],
            "latency": {},
            "counters": {"last_update_us": last.taken_at_us},
        }
        keys = (self._keys.fence, self._keys.counters, self._keys.latency, *self._keys.metrics)
        return [
            insert,
            psql(
                "run",
                _TOTALS,
                *(last.snapshot, to_datetime(last.taken_at_us).isoformat(), 0),
                note="the aggregator's one statement, from its last snapshot on: a scan of all rows",
            ),
            redis_cli(
                "script",
                *(
                    "EVALSHA",
                    _WRITE.digest,
                    len(keys),
                    *keys,
                    "",
                    fence,
                    json.dumps(values, separators=(",", ":")),
                ),
                at_us=last.taken_at_us,
                note="the six keys as a whole; the fence has moved since: 0, and nothing is written",
            ),
        ]
