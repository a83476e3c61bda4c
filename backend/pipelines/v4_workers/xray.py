"""v4 under X-ray: the worker's transaction and the aggregator's script, each with the offset that is its fence."""

import json
from datetime import timedelta

from backend.clients.postgres import PostgresPool
from backend.clients.redis import RedisClient, Script
from backend.pipelines.topic.xray import TopicXRay
from backend.pipelines.v4_workers.reconcile import PACKAGE, SCRIPT_KEYS
from backend.pipelines.xray import StoredOrder, psql, redis_cli, transaction
from coffee_core.pipelines import Pipeline
from coffee_core.resources import lua, sql
from coffee_core.xray import Step

_ADVANCE, _READ_BACK = sql(PACKAGE, "advance"), sql(PACKAGE, "read_back")
_INSERT = f"{sql(PACKAGE, 'insert')}\n{sql(PACKAGE, 'insert_keep_first')}"
_COUNT = Script(lua(PACKAGE, "count_batch"))


class WorkersXRay(TopicXRay):
    """What both groups make of the record, as for a portion of this one."""

    def __init__(
        self,
        postgres: PostgresPool,
        redis: RedisClient,
        pipeline: Pipeline,
        dedup_horizon_ms: int,
        *,
        token: bool = False,
    ) -> None:
        super().__init__(postgres, redis, pipeline, token=token)
        self._horizon_ms = dedup_horizon_ms

    async def after_record(self, stored: StoredOrder, partition: int, offset: int) -> list[Step]:
        """Return the worker's statements, then the aggregator's call."""
        order = stored.order
        content = (order.message_id, order.drink, order.store, order.price_cents)
        columns = [[each] for each in (*content, order.ordered_at_us, order.accepted_at_us, stored.source_id)]
        batch = {
            "portions": [(partition, offset, offset + 1, 1, 0, "")],
            "kinds": [(order.drink, order.store)],
            "kind": [0],
            "cents": [order.price_cents],
            "accepted_at_us": [order.accepted_at_us],
        }
        (since_us,) = await self._redis.read_at_once(("HGET", self._keys.counters, "counted_since_us"))
        return [
            transaction(
                "store",
                (_ADVANCE, [partition], [offset], [offset + 1], [1], [0], [""]),
                (_INSERT, *columns),
                at_us=stored.stored_us,
                note="offset and row in one transaction; both are there: UPDATE 0, INSERT 0 0",
            ),
            psql(
                "read back",
                _READ_BACK,
                *(*columns, timedelta(milliseconds=self._horizon_ms / 2), int(since_us) if since_us else None),
                note="asked only where fewer rows were made than there were orders; own = t: no repeat",
            ),
            redis_cli(
                "script",
                *("EVALSHA", _COUNT.digest, len(SCRIPT_KEYS), *SCRIPT_KEYS),
                *(json.dumps(batch, separators=(",", ":")), order.message_id.bytes, self._horizon_ms * 1_000),
                note="totals and offset in one step; the offset is past it: 0 counted, and where it goes on",
            ),
        ]
