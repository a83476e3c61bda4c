"""The balance of v5: the rows, the totals that their own transactions keep, and the metrics, all of one moment."""

from backend.clients.servers import Servers
from backend.pipelines.balance import (
    Balance,
    difference,
    is_zero,
    read_shown,
    same_content,
    total,
    totals_of_rows,
)
from backend.pipelines.v5_live.projector import METRICS, Fence, read_kept
from coffee_core.pipelines.constants import V5
from coffee_core.resources import sql
from coffee_core.totals import Totals

_ROWS = sql("backend.pipelines.v5_live", "rows_by_snapshot")


async def audit_v5(servers: Servers, *, unique_timestamps: bool) -> Balance:
    """Take the balance. Exact under load: metrics and fence are read at once, and the fence names the rows.

    Raises the errors of both servers.
    """
    shown, text, _ = await read_shown(servers.client, METRICS)
    fence = Fence.parse(text)
    async with servers.database.transaction(isolation="repeatable_read", readonly=True):
        rows = await servers.database.fetch(_ROWS, fence.snapshot if fence else None)
        kept = await read_kept(servers.database)
        copies = await same_content(servers.database, V5, unique_timestamps)
    due, newer = (totals_of_rows(row for row in rows if row["shown"] is known) for known in (True, False))
    if fence is None and shown.orders:
        # Without its snapshot nobody can tell which rows are shown: hold the metrics against all of them.
        due, newer = newer, due
    return balance_v5(shown, due, newer, kept.totals, copies)


def balance_v5(shown: Totals, due: Totals, newer: Totals, kept: Totals, copies: Totals) -> Balance:
    """Balance metrics against the rows that they show (``due``) and those that are not shown yet (``newer``).

    ``kept`` are the totals of the same moment: an order that is in them, or in the metrics, had a row. ``copies``
    are rows beyond the first of their order.
    """
    stored = total(due, newer)
    shown_for_sure = min(shown.orders, sum(shown.drink_counts.values()), sum(shown.store_counts.values()))
    lost = max(0, max(shown_for_sure, kept.orders) - stored.orders)
    # What is kept is what will be shown: where it is off, by other hands than ours, so will the metrics be.
    off = difference(kept, stored)
    balance = Balance(
        pipeline=V5,
        accepted=stored.orders + lost,
        stored=stored,
        shown=shown,
        duplicates_dropped=None,
        dead_letters=None,
        in_flight=newer.orders,
        lost=lost,
        duplicated=copies,
        drift=difference(shown, due) if is_zero(off) else off,
    )
    if is_zero(off):
        return balance
    return balance.with_notes("the kept totals differ from the rows: `coffee reconcile v5` counts the rows anew")
