"""Coalescing: many notifications, few reads."""

import asyncio

_BUSY_FROM = 5


class Pulse:
    """Lets a loop through at once when something happened, but never more often than every ``gap_s``.

    However many notifications arrive within the gap, one pass follows them, and none is lost: a notification
    during a pass leads to the next one.
    """

    def __init__(self, gap_s: float, busy_gap_s: float | None = None) -> None:
        """``busy_gap_s`` holds from the fifth pass on that follows another at once, until it has been calm."""
        self._gap_s = gap_s
        self._busy_gap_s = gap_s if busy_gap_s is None else busy_gap_s
        self._in_a_row = 0
        self._happened = asyncio.Event()
        self._last_s = float("-inf")

    def notify(self) -> None:
        """Say that something happened."""
        self._happened.set()

    async def wait(self, timeout_s: float) -> bool:
        """Return when something happened or after ``timeout_s`` seconds; tell whether something did."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout_s):
                await self._happened.wait()
        except TimeoutError:
            happened = False
            self._in_a_row = 0
        else:
            happened = True
            gap_s = self._gap_s if self._in_a_row < _BUSY_FROM else self._busy_gap_s
            wait_s = self._last_s + gap_s - loop.time()
            self._in_a_row = self._in_a_row + 1 if wait_s > 0 else 0
            await asyncio.sleep(max(0.0, wait_s))
            self._happened.clear()
        self._last_s = loop.time()
        return happened
