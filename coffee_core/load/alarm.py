"""Rings within a tenth of a millisecond of a moment: an event loop's own timers know whole milliseconds alone."""

import asyncio
import ctypes
import math
import os
import sys
import time
from collections.abc import Callable
from typing import TypeAlias

_NS_PER_S = 1_000_000_000
_ABSOLUTE = 1  # TFD_TIMER_ABSTIME


class _Setting(ctypes.Structure):
    """``struct itimerspec``: seconds and nanoseconds between two rings, then those of the first."""

    _fields_ = [(name, ctypes.c_long) for name in ("again_s", "again_ns", "at_s", "at_ns")]


class PreciseAlarm:
    """An alarm by a timer of Linux that is a file descriptor: Python has it from 3.13 on."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._c = ctypes.CDLL(None, use_errno=True)
        self._fd = self._c.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._ring = ring
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._fd, self._rings)

    def set(self, at_s: float) -> None:
        """Ring once at this moment, monotonic seconds, and not at the one set before; infinity is never."""
        # All zeros would be never: a moment that has passed rings at once.
        at_ns = 0 if at_s == math.inf else max(1, int(at_s * _NS_PER_S))
        setting = _Setting(0, 0, *divmod(at_ns, _NS_PER_S))
        if self._c.timerfd_settime(self._fd, _ABSOLUTE, ctypes.byref(setting), None) < 0:
            raise OSError(ctypes.get_errno(), "timerfd_settime")

    def close(self) -> None:
        """Ring no more."""
        self._loop.remove_reader(self._fd)
        os.close(self._fd)

    def _rings(self) -> None:
        # Whoever has set it anew since it rang has taken that back.
        try:
            os.read(self._fd, 8)
        except BlockingIOError:
            return
        self._ring()


class CoarseAlarm:
    """An alarm by the event loop's own timers, for other systems: up to 1.5 ms late."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def set(self, at_s: float) -> None:
        """Ring once at this moment, monotonic seconds, and not at the one set before; infinity is never."""
        self.close()
        if at_s < math.inf:
            self._timer = self._loop.call_later(at_s - time.monotonic(), self._ring)

    def close(self) -> None:
        """Ring no more."""
        if self._timer is not None:
            self._timer.cancel()


Alarm: TypeAlias = PreciseAlarm | CoarseAlarm


def open_alarm(ring: Callable[[], None]) -> Alarm:
    """Return the best alarm that this system has, for the running event loop."""
    return PreciseAlarm(ring) if sys.platform == "linux" else CoarseAlarm(ring)
