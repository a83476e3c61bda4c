"""v2 under X-ray: the entry, the worker's statements, the script that acknowledges and counts."""

import json
from itertools import chain

from backend.clients.redis import Script
from backend.pipelines.xray import RowXRay, StoredOrder, psql, redis_cli
from coffee_core import keys
from coffee_core.resources import lua, sql
from coffee_core.xray import Step

_PACKAGE = "backend.pipelines.v2_streams"
_INSERT = f"{sql(_PACKAGE, 'insert')}\n{sql(_PACKAGE, 'insert_keep_first')}"
_READ_BACK = sql(_PACKAGE, "read_back")
_APPLY = Script(lua(_PACKAGE, "apply_batch"))
_CONSUMER = "x-ray"


class StreamXRay(RowXRay):
    """The API's XADD and what the worker makes of it."""

    async def between(self, stored: StoredOrder) -> list[Step]:
        """Return what was sent to Redis and PostgreSQL, as for a batch of this one order."""
        order, entry_id = stored.order, stored.source_id
        columns = [
            [value]
            for value in (
                *(order.message_id, order.drink, order.store, order.price_cents),
                *(order.ordered_at_us, order.accepted_at_us, entry_id),
            )
        ]
        batch = {
            "orders": [[order.drink, order.store, [entry_id], [order.price_cents], [order.accepted_at_us]]],
            "duplicates": [],
            "dead_letters": [],
            "deleted": [],
        }
        names = (keys.STREAM, keys.DEAD_STREAM, self._keys.counters, self._keys.latency, *self._keys.metrics)
        return [
            redis_cli(
                "entry",
                *("XADD", keys.STREAM, "*", *chain.from_iterable(order.to_fields().items())),
                at_us=_made_us(entry_id),
                note="again: one more entry, which the worker drops as a duplicate",
            ),
            redis_cli(
                "entry",
                *("XRANGE", keys.STREAM, entry_id, entry_id),
                note="counted entries are deleted: (empty array)",
            ),
            psql(
                "insert",
                _INSERT,
                *columns,
                at_us=stored.stored_us,
                note="the worker's, as for a batch of this one; the row is there: INSERT 0 0",
            ),
            psql("read back", _READ_BACK, *columns, note="own = t: the row is this entry's, so the entry counts"),
            redis_cli(
                "script",
                *("EVALSHA", _APPLY.digest, len(names), *names, keys.STREAM_GROUP, _CONSUMER, 1),
                json.dumps(batch, separators=(",", ":")),
                note="acknowledges and counts in one step; again: 0 counted, and the worker checks the totals",
            ),
        ]


def _made_us(entry_id: str) -> int | None:
    """Return when Redis made an entry, by its clock; None of one whose id is somebody else's."""
    milliseconds = entry_id.partition("-")[0]
    return int(milliseconds) * 1_000 if milliseconds.isdecimal() else None
