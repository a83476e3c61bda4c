"""One-minute windows in event time: which one an order belongs to, and when it comes too late for it.

The event time of an order is its own timestamp, but never later than when the API accepted it: nobody orders after
that. The watermark that judges it is its acceptance less the lateness that is allowed. Both stand in the order
itself, so that a restart, a replay, an idle partition or an order from the future changes nothing for any other.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from coffee_core.menu import STORES
from coffee_core.metrics import whole_number

WINDOW_S = 60
"""Length of a window in seconds; windows begin at whole minutes of UTC."""
LATE_AFTER_S = 30
"""Seconds for which a window waits, after its end, for orders that are still on their way."""
KEPT_S = 3_600
"""Seconds for which v3's windows stay in Redis after their end."""
MOST_MINUTES = 60
"""Most windows that can be asked for."""
SHOWN_MINUTES = 10
"""Windows that are shown where the request has no number."""
_FIELDS = ("orders", "revenue")
"""Fields of a hash of v3, behind the name of the store."""


def window_of(ordered_at_us: int, accepted_at_us: int) -> int | None:
    """Return the first second (since the epoch) of the window that counts an order, None where it is late."""
    event_s = min(ordered_at_us, accepted_at_us) // 1_000_000
    start_s = event_s - event_s % WINDOW_S
    closed_us = (start_s + WINDOW_S + LATE_AFTER_S) * 1_000_000
    return start_s if accepted_at_us < closed_us else None


def starts(now_us: int, minutes: int) -> list[int]:
    """Return the first seconds of the last windows, the one that is filling now at the end."""
    newest = now_us // 1_000_000 // WINDOW_S * WINDOW_S
    return [newest - back * WINDOW_S for back in reversed(range(minutes))]


@dataclass(frozen=True, slots=True)
class StoreSums:
    """Orders and revenue of each store: those of one window, or the late ones."""

    store_counts: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(STORES, 0))
    """Store → orders; every store is there."""
    store_revenue_cents: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(STORES, 0))
    """Store → cents."""

    @classmethod
    def of_fields(cls, fields: Mapping[str, str]) -> "StoreSums":
        """Read a hash of v3, ``<store>:orders`` and ``<store>:revenue``; a missing field is 0.

        Raises ValueError where a field holds no whole number.
        """
        counts, cents = (
            {store: whole_number(name, fields.get(f"{store}:{name}")) for store in STORES} for name in _FIELDS
        )
        return cls(counts, cents)

    @property
    def orders(self) -> int:
        """Orders of all stores."""
        return sum(self.store_counts.values())

    @property
    def revenue_cents(self) -> int:
        """Cents of all stores."""
        return sum(self.store_revenue_cents.values())


@dataclass(frozen=True, slots=True)
class Windows:
    """The last windows of a pipeline, read at one moment."""

    windows: Mapping[int, StoreSums]
    """First second of a window → its sums, the oldest first."""
    late: StoreSums
    """Sums of all orders that came after their window was closed."""
    watermark_us: int | None
    """Every order accepted up to ``LATE_AFTER_S`` later has been counted, µs since the epoch; None: unknown."""

    def is_final(self, start_s: int) -> bool:
        """Tell whether a window can change no more."""
        return self.watermark_us is not None and (start_s + WINDOW_S) * 1_000_000 <= self.watermark_us
