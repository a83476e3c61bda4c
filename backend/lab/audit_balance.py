"""The balance of a pipeline: what it accepted, what became of it, and what does not add up."""

from dataclasses import dataclass, field, replace

from backend.lab.audit_tally import amounts, difference, is_zero, total
from coffee_core.menu import MAX_PRICE_CENTS
from coffee_core.pipelines import Pipeline
from coffee_core.tally import Tally


@dataclass(frozen=True, slots=True)
class Balance:
    """One pipeline at one cut."""

    pipeline: Pipeline
    accepted: int
    """Entries of the log (v1 has none: there the table is the log)."""
    stored: Tally
    """Rows."""
    shown: Tally
    """The six metrics."""
    duplicates_dropped: int | None
    """Entries of the log that repeated an order; None for v1, whose repeats never enter anything."""
    dead_letters: int | None
    """Entries of the log that could not be stored; None for v1, which refuses them at the door."""
    in_flight: int
    """Entries (v1: rows) that have yet to be shown, and are accounted for."""
    lost_orders: int
    """Entries of the log that are neither row, duplicate, dead letter nor in flight."""
    duplicated: Tally
    """Rows beyond the one that their entry (or, where timestamps are unique, their order) may have."""
    drift: Tally
    """What is shown minus what of it is stored, with its sign; nothing where orders in flight explain it."""
    log_short: int = 0
    """Orders that came out of a log which no longer accounts for them: it was flushed, cut off or deleted, or rows
    were put in past it. Losses cannot be seen in a log that is itself lost."""
    windows_off: tuple[str, ...] = ()
    """Windows and late orders of v3 that Redis shows otherwise than the rows have them, store by store."""
    notes: tuple[str, ...] = ()
    """What more there is to say, in sentences."""
    deep: "Deep | None" = None
    """What a comparison id by id has found, where one was made."""

    @property
    def balanced(self) -> bool:
        """Nothing lost, nothing duplicated, no drift, and the log accounts for everything."""
        agrees = not self.lost_orders and not self.log_short and is_zero(self.duplicated) and is_zero(self.drift)
        agrees = agrees and not self.windows_off
        return agrees and (self.deep is None or self.deep.agrees)

    @property
    def lost(self) -> Tally | None:
        """The lost orders with cents, drinks and stores, where the metrics remember them; else None."""
        if not self.lost_orders:
            return difference(Tally(), Tally())
        # What was shown beyond one row for each entry.
        gone = total(self.drift, self.duplicated)
        return gone if gone.orders == self.lost_orders and min(amounts(gone)) >= 0 else None

    def saying(self, *notes: str) -> "Balance":
        """Return the same with more notes."""
        return replace(self, notes=(*self.notes, *notes))


@dataclass(frozen=True, slots=True)
class Deep:
    """What a comparison of ids has found; lists of ids hold the first ten."""

    compared: int
    """Entries of the log that were compared one by one."""
    scope: str
    """What was compared with what, in words."""
    lost: int = 0
    """Entries that must be somewhere and are nowhere."""
    lost_ids: list[str] = field(default_factory=list)
    """Which: ids of entries (v3: partition:offset)."""
    altered: int = 0
    """Rows that do not say what their entry says, and entries that are both a row and a dead letter."""
    altered_ids: list[str] = field(default_factory=list)
    """Which: ids of entries."""
    unlogged: int = 0
    """Rows without an entry of their own."""

    @property
    def agrees(self) -> bool:
        """Every id was found where it belongs."""
        return not (self.lost or self.altered or self.unlogged)


NOTHING = difference(Tally(), Tally())
"""A tally of zeros."""


def excused(shown: Tally, stored: Tally, not_shown: int, not_stored: int) -> bool:
    """Tell whether orders on their way explain a difference.

    These are whole orders at prices they can have: no more than ``not_shown`` that are stored and not shown yet,
    and no more than ``not_stored`` that are shown and not stored yet. Both may be there at once.
    """
    ahead = difference(stored, shown)
    fewest = 0
    for counts, cents in (
        (ahead.drink_counts, ahead.drink_revenue_cents),
        (ahead.store_counts, ahead.store_revenue_cents),
    ):
        if (sum(counts.values()), sum(cents.values())) != (ahead.orders, ahead.revenue_cents):
            return False
        names = {*counts, *cents}
        fewest = max(fewest, sum(_fewest_ahead(counts.get(name, 0), cents.get(name, 0)) for name in names))
    return fewest <= not_shown and fewest - ahead.orders <= not_stored


def _fewest_ahead(count: int, cents: int) -> int:
    """Return how many orders of one field must be ahead, where others that make up its difference may be behind.

    With n ahead and n - count behind, the cents lie between n - (n - count) * MAX and n * MAX - (n - count).
    """
    for_more, for_less = cents - count, count * MAX_PRICE_CENTS - cents
    return max(0, count, *(-(-each // (MAX_PRICE_CENTS - 1)) for each in (for_more, for_less)))
