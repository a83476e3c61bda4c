"""The balance of v1: the table is the log, and the metrics must be what the last run's snapshot held of it."""

from backend.clients.servers import Servers
from backend.pipelines.balance import Balance, difference, read_shown, same_content, total, whole_number
from backend.pipelines.v1_direct.aggregator import read_shown_and_new
from backend.pipelines.v1_direct.fence import METRICS, Fence
from coffee_core.clock import now_us
from coffee_core.pipelines.constants import V1
from coffee_core.totals import Totals


async def audit_v1(servers: Servers, *, unique_timestamps: bool) -> Balance:
    """Take the balance. Exact under load: metrics and fence are read at once, and the fence names the rows.

    Raises the errors of both servers.
    """
    shown, fence, counters = await read_shown(servers.client, METRICS)
    async with servers.database.transaction(isolation="repeatable_read", readonly=True):
        due, newer = await read_shown_and_new(servers.database, Fence.parse(fence))
        copies = await same_content(servers.database, V1, unique_timestamps)
    if fence is None and shown.orders:
        # Without its snapshot nobody can tell which rows the last run saw: hold the metrics against all of them.
        due, newer = newer, due
    balance = balance_v1(shown, due, newer, copies)
    if newer.orders:
        balance = balance.with_notes(_next_run(whole_number("next_run_us", counters.get("next_run_us"))))
    return balance


def balance_v1(shown: Totals, due: Totals, newer: Totals, copies: Totals) -> Balance:
    """Balance metrics against the rows that the last run has seen (``due``) and those it has not (``newer``).

    ``copies`` are rows beyond the first of their order.
    """
    # What a run has shown stood in the table; all three totals show it, unless somebody has changed a key.
    shown_for_sure = min(shown.orders, sum(shown.drink_counts.values()), sum(shown.store_counts.values()))
    lost = max(0, shown_for_sure - due.orders)
    stored = total(due, newer)
    return Balance(
        pipeline=V1,
        accepted=stored.orders + lost,
        stored=stored,
        shown=shown,
        duplicates_dropped=None,
        dead_letters=None,
        in_flight=newer.orders,
        lost=lost,
        duplicated=copies,
        drift=difference(shown, due),
    )


def _next_run(next_run_us: int) -> str:
    seconds = (next_run_us - now_us()) / 1e6
    if seconds < 0:
        return f"the next run was due {-seconds:.0f} s ago: it is under way, or the aggregator is not"
    return f"the next run, in {seconds:.0f} s, shows what is in flight"
