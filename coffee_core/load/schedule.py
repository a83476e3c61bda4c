"""When orders are meant to be sent: an open loop, which a slow server cannot slow down."""

import math
from typing import Protocol


class Times(Protocol):
    """Intended send times, in monotonic seconds, never decreasing.

    They are made as they are taken: however far the sender falls behind, nothing is stored and nothing is
    skipped, so that an order sent late is late by its whole delay (no coordinated omission).
    """

    @property
    def next_s(self) -> float:
        """When the next order is meant to be sent; infinity where there is none left."""
        ...

    def take(self) -> float:
        """Return the next intended time and move on."""
        ...

    def offered(self, now_s: float) -> int:
        """Return how many orders were meant to be sent by now, taken or not."""
        ...


class Steady:
    """A constant rate, from 0.1 per second or less to many thousands."""

    def __init__(self, rate_per_s: float, start_s: float) -> None:
        if not (rate_per_s > 0 and math.isfinite(rate_per_s)):
            raise ValueError(f"a rate must be greater than 0 per second, not {rate_per_s}")
        self.rate_per_s = rate_per_s
        """Orders per second."""
        self._start_s = start_s
        self._end_s = math.inf
        self._taken = 0

    @property
    def next_s(self) -> float:
        """When the next order is meant to be sent; infinity once the schedule is closed and used up."""
        # A product, not a running sum: no error adds up over a million orders.
        intended_s = self._start_s + self._taken / self.rate_per_s
        return intended_s if intended_s < self._end_s else math.inf

    def take(self) -> float:
        """Return the next intended time and move on."""
        intended_s = self.next_s
        self._taken += 1
        return intended_s

    def close(self, now_s: float) -> float:
        """Intend nothing from ``now_s`` on and return when the next order would have been."""
        self._end_s = now_s
        return self._start_s + self.offered(now_s) / self.rate_per_s

    def offered(self, now_s: float) -> int:
        """Return how many orders were meant to be sent by now, taken or not."""
        if self.next_s == math.inf:
            return self._taken
        # A rounding error must not lose an order that is due: at 0.3 s and 10/s the fourth one is.
        due = math.floor((min(now_s, self._end_s) - self._start_s) * self.rate_per_s + 1e-9) + 1
        return max(self._taken, due)


class Burst:
    """A number of orders, all meant for the same moment."""

    def __init__(self, orders: int, at_s: float) -> None:
        if orders < 1:
            raise ValueError(f"a burst has at least one order, not {orders}")
        self._orders = self._left = orders
        self._at_s = at_s

    @property
    def next_s(self) -> float:
        """The moment of the burst; infinity once it is used up."""
        return self._at_s if self._left else math.inf

    def take(self) -> float:
        """Return the moment of the burst and move on."""
        self._left -= 1
        return self._at_s

    def offered(self, now_s: float) -> int:
        """Return the orders of the burst from its moment on."""
        return self._orders if now_s >= self._at_s else 0
