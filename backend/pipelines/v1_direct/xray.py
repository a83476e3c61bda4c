"""v1 under X-ray: the insert, and the run that adds up all rows and replaces the totals."""

import json

from backend.clients.redis import Script
from backend.pipelines.v1_direct.fence import Fence
from backend.pipelines.xray import RowXRay, Step, StoredOrder, psql, redis_cli
from coffee_core.clock import to_datetime
from coffee_core.metrics import parse_totals
from coffee_core.resources import lua, sql

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
        fence, orders, revenue, *flat = await self._redis.read_at_once(
            ("GET", self._keys.fence),
            ("GET", self._keys.total_orders),
            ("GET", self._keys.total_revenue),
            *(("HGETALL", key) for key in self._keys.hashes),
        )
        if fence is None:
            return [insert]
        text = fence.decode(errors="replace")
        last = Fence.parse(text)
        hashes = [dict(zip(map(_text, each[::2]), map(_text, each[1::2]), strict=True)) for each in flat]
        totals = parse_totals(_text(orders), _text(revenue), hashes)
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
                *("EVALSHA", _WRITE.digest, len(keys), *keys, "", text, json.dumps(values, separators=(",", ":"))),
                at_us=last.taken_at_us,
                note="the six keys as a whole; the fence has moved since: 0, and nothing is written",
            ),
        ]


def _text(value: bytes | None) -> str:
    return "0" if value is None else value.decode(errors="replace")
