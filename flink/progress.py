"""The watermark: how far the job has come in all partitions, less the lateness that is allowed and a little."""

import time
from collections.abc import Callable, Sequence

from coffee_core.windows import LATE_AFTER_S

BEHIND_S = LATE_AFTER_S + 5
"""Seconds by which the watermark is behind: the lateness, and what one order may be behind another on its way into
the log (the API waits for the broker for 3 s)."""
IDLE_AFTER_S = 10.0
"""Seconds without an order after which a lane of partitions holds the watermark back no longer."""


class Watermark:
    """The least progress of the lanes that are not idle."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock`` tells seconds. A lane counts as busy when the job begins: there may be something in it."""
        self._clock = clock
        self._begun_s = clock()
        self._lanes: dict[int, tuple[int, float]] = {}
        """Lane → how far it has come (µs since the epoch), and when it last moved (s)."""

    def after(self, reached_us: Sequence[int], now_us: int) -> int | None:
        """Return the watermark in milliseconds since the epoch, None where nothing can be said yet.

        ``reached_us`` is the latest acceptance in each lane, 0 of one without any. It never passes ``now_us`` less
        the same seconds, so that an acceptance from the future closes no window.
        """
        now_s = self._clock()
        for lane, reached in enumerate(reached_us):
            before, _ = self._lanes.get(lane, (None, 0.0))
            if before is None:
                self._lanes[lane] = (reached, self._begun_s if not reached else now_s)
            elif reached != before:
                self._lanes[lane] = (reached, now_s)
        busy = [reached for reached, moved_s in self._lanes.values() if now_s - moved_s < IDLE_AFTER_S]
        if not busy or not min(busy):
            return None
        return min(*busy, now_us) // 1_000 - BEHIND_S * 1_000
