"""When to read Redis: at once when it says so; while it never stops saying so, ten times a second unasked.

Every notification has to be parsed, and a pipeline under load sends hundreds a second of which ten are of use. So
in a flood it stops listening, and listens again when the readings have been the same for a while.
"""

import asyncio
import time
from collections.abc import Callable, Sequence

from redis.asyncio.client import PubSub

_FLOOD = 30
"""Notifications within ``_SPAN_S`` from which on it is one."""
_SPAN_S = 1.0
_WAIT_S = 1.0
"""Longest wait for a notification, so that a lost connection is noticed."""


class Ear:
    """Listens to some channels; says when something was heard, and when it is time to look."""

    def __init__(
        self, pubsub: PubSub, channels: Sequence[str], heard: Callable[[], None], look: Callable[[], None]
    ) -> None:
        """``heard`` is called of every notification, ``look`` also where none is needed; neither may block."""
        self._pubsub = pubsub
        self._channels = channels
        self._heard = heard
        self._look = look
        self._changed_s = 0.0

    def changed(self) -> None:
        """Note that a reading differed from the one before."""
        self._changed_s = time.monotonic()

    async def listen(self, frame_s: float) -> None:
        """Listen until cancelled, in a flood look every ``frame_s`` seconds. Raises redis-py's errors."""
        while True:
            await self._pubsub.subscribe(*self._channels)
            # What happened while nobody listened is seen now.
            self._look()
            await self._calm()
            await self._pubsub.unsubscribe(*self._channels)
            await self._flood(frame_s)

    async def _calm(self) -> None:
        begun_s, count = time.monotonic(), 0
        while count < _FLOOD:
            message = await self._pubsub.get_message(timeout=_WAIT_S)
            if time.monotonic() - begun_s > _SPAN_S:
                begun_s, count = time.monotonic(), 0
            if message is not None:
                count += 1
                self._heard()
                self._look()

    async def _flood(self, frame_s: float) -> None:
        self.changed()
        while time.monotonic() - self._changed_s < _SPAN_S:
            await asyncio.sleep(frame_s)
            self._look()
