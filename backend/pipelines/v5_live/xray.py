"""v5 under X-ray: one statement that stores the order and adds up the totals, and the projector's question."""

from backend.pipelines.v5_live.ingest import ADD
from backend.pipelines.xray import RowXRay, StoredOrder, psql
from coffee_core.resources import sql
from coffee_core.xray import Step

_PACKAGE = "backend.pipelines.v5_live"
_NOTIFY = sql(_PACKAGE, "notify")
_TOTALS = sql(_PACKAGE, "kept_totals")


class LiveXRay(RowXRay):
    """The API's statement, the wake-up, the projector's."""

    async def between(self, stored: StoredOrder) -> list[Step]:
        """Return the three statements, the first as for this order alone."""
        order = stored.order
        content = (order.message_id, order.drink, order.store, order.price_cents)
        columns = [[value] for value in (*content, order.ordered_at_us, order.accepted_at_us)]
        return [
            psql(
                "insert",
                ADD,
                *(*columns, False),
                at_us=stored.stored_us,
                note="row and totals in one transaction; a repeat inserts nothing, so it adds nothing",
            ),
            psql("notify", _NOTIFY, note="wakes the projector, after the commit"),
            psql("totals", _TOTALS, note="what the projector reads, and writes to the six keys"),
        ]
