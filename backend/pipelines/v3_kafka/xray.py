"""v3 under X-ray: the row as Flink's sink writes it, and the script by which the job shows its totals."""

from backend.clients.redis import Script
from backend.pipelines.topic.xray import TopicXRay
from backend.pipelines.xray import StoredOrder, fields_of, psql, redis_cli, text_of
from coffee_core.clock import to_datetime
from coffee_core.menu import DRINKS, STORES
from coffee_core.resources import lua, sql
from coffee_core.xray import Step

_UPSERT = sql("backend.pipelines.v3_kafka", "upsert")
_SHOW = Script(lua("flink", "write_totals"))
_COUNTERS = ("shown_orders", "duplicates", "dead", "last_update_us", "shown_accepted_us")


class JobXRay(TopicXRay):
    """The two effects of the job: its row in PostgreSQL, and its whole totals in Redis."""

    async def after_record(self, stored: StoredOrder, partition: int, offset: int) -> list[Step]:  # noqa: ARG002
        """Return the upsert, and the last row of totals as it would be shown again."""
        order = stored.order
        upsert = psql(
            "upsert",
            _UPSERT,
            *(str(self._pipeline), order.message_id, order.drink, order.store, order.price_cents),
            *(_time(order.ordered_at_us), _time(order.accepted_at_us), stored.source_id),
            at_us=stored.stored_us,
            note="the JDBC sink's, as for this one; a trigger keeps the first row: INSERT 0 0",
        )
        names = self._keys
        epoch, totals, replies = await self._shown(
            ("HMGET", names.counters, *_COUNTERS), ("HGETALL", names.late), ("GET", names.watermark)
        )
        counters, late = [text_of(each) for each in replies[0]], fields_of(replies[1])
        if epoch is None or None in counters:
            return [upsert]
        shown, duplicates, dead, updated_us, accepted_us = map(str, counters)
        drinks, drink_cents, stores, store_cents = totals.hashes
        of_late = [(store, late.get(f"{store}:orders", 0), late.get(f"{store}:revenue", 0)) for store in STORES]
        cells = [
            *((drink, drinks[drink], drink_cents[drink]) for drink in DRINKS),
            *((store, stores[store], store_cents[store]) for store in STORES),
            *of_late,
        ]
        keys = (names.epoch, *names.metrics, names.latency, names.counters, names.late, names.watermark)
        script = redis_cli(
            "script",
            *("EVALSHA", _SHOW.digest, len(keys), *keys),
            *(epoch, totals.orders, totals.revenue_cents, duplicates, dead, updated_us, accepted_us),
            *(shown, "", text_of(replies[2]) or "", len(DRINKS), len(STORES)),
            *(value for cell in cells for value in cell),
            at_us=int(updated_us),
            note="the last totals that the job has shown, as a whole; they are there: nothing is added",
        )
        return [upsert, script]


def _time(time_us: int) -> str:
    """Return a time as the job writes it, to the microsecond."""
    return to_datetime(time_us).strftime("%Y-%m-%d %H:%M:%S.%f+00")
