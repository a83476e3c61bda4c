"""One-minute windows in event time: which one an order belongs to, and when it comes too late for it.

The event time of an order is its own timestamp, but never later than when the API accepted it: nobody orders after
that. The watermark that judges it is its acceptance less the lateness that is allowed. Both stand in the order
itself, so that a restart, a replay, an idle partition or an order from the future changes nothing for any other.
"""

WINDOW_S = 60
"""Length of a window in seconds; windows begin at whole minutes of UTC."""
LATE_AFTER_S = 30
"""Seconds for which a window waits, after its end, for orders that are still on their way."""
KEPT_S = 3_600
"""Seconds for which v3's windows stay in Redis after their end."""
MOST_MINUTES = 60
"""Most windows that can be asked for."""
SHOWN_MINUTES = 10
"""Windows that are shown where nobody says how many."""


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
