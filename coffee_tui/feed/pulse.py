"""Coalescing: many notifications, few reads."""

import asyncio


class Pulse:
    """Lets a loop through at once when something happened, but never more often than every ``gap_s``.

    However many notifications arrive within the gap, one pass follows them, and none is lost: a notification
    during a pass leads to the next one.
    """

    def __init__(self, gap_s: float) -> None:
        self._gap_s = gap_s
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
        else:
            happened = True
            await asyncio.sleep(max(0.0, self._last_s + self._gap_s - loop.time()))
            self._happened.clear()
        self._last_s = loop.time()
        return happened
