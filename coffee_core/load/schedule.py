"""When orders are meant to be sent: an open loop, which a slow server cannot slow down."""

import math
import random
from collections.abc import Iterator
from typing import Protocol

from coffee_core.load.curves import Curve


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


class OpenTimes(Times, Protocol):
    """Times without an end of their own."""

    def close(self, end_s: float) -> float:
        """Intend nothing from ``end_s`` on and return when the next order would have been."""
        ...


class Planned:
    """Times along a curve."""

    def __init__(self, curve: Curve, start_s: float) -> None:
        self._curve = curve
        self._start_s = start_s
        self._end_s = math.inf
        self._taken = 0

    @property
    def next_s(self) -> float:
        """When the next order is meant to be sent; infinity once the schedule is closed and used up."""
        intended_s = self._at(self._taken)
        return intended_s if intended_s < self._end_s else math.inf

    def take(self) -> float:
        """Return the next intended time and move on."""
        intended_s = self.next_s
        self._taken += 1
        return intended_s

    def close(self, end_s: float) -> float:
        """Intend nothing from ``end_s`` on and return when the next order would have been."""
        self._end_s = end_s
        return self._at(self.offered(end_s))

    def offered(self, now_s: float) -> int:
        """Return how many orders were meant to be sent by now, taken or not."""
        if self.next_s == math.inf:
            return self._taken
        # The curve may be off by a rounding error, which must neither lose nor invent an order.
        due = self._curve.due(min(now_s, self._end_s) - self._start_s)
        while due > 0 and not self._is_due(due - 1, now_s):
            due -= 1
        while self._is_due(due, now_s):
            due += 1
        return max(self._taken, due)

    def _at(self, order: int) -> float:
        return self._start_s + self._curve.at_s(order)

    def _is_due(self, order: int, now_s: float) -> bool:
        intended_s = self._at(order)
        return intended_s <= now_s and intended_s < self._end_s


class Poisson:
    """Independent orders at a mean rate: the gaps between them are exponential."""

    def __init__(self, rate_per_s: float, start_s: float, seed: int | None = None) -> None:
        seed = random.getrandbits(64) if seed is None else seed
        # The same arrivals twice: one reader takes them, the other counts what is due ahead of it.
        self._arrivals, self._ahead = (_arrivals(rate_per_s, start_s, seed) for _ in range(2))
        self._next_s, self._ahead_s = next(self._arrivals), next(self._ahead)
        self._end_s = math.inf
        self._taken = self._due = 0

    @property
    def next_s(self) -> float:
        """When the next order is meant to be sent; infinity once the schedule is closed and used up."""
        return self._next_s if self._next_s < self._end_s else math.inf

    def take(self) -> float:
        """Return the next intended time and move on."""
        intended_s, self._next_s = self._next_s, next(self._arrivals)
        self._taken += 1
        return intended_s

    def close(self, end_s: float) -> float:
        """Intend nothing from ``end_s`` on and return it: without memory, any moment is as good to go on from."""
        self._end_s = end_s
        return end_s

    def offered(self, now_s: float) -> int:
        """Return how many orders were meant to be sent by now, taken or not."""
        while self._ahead_s <= now_s and self._ahead_s < self._end_s:
            self._ahead_s = next(self._ahead)
            self._due += 1
        return max(self._taken, self._due)


def _arrivals(rate_per_s: float, start_s: float, seed: int) -> Iterator[float]:
    dice, at_s = random.Random(seed), start_s
    while True:
        at_s += dice.expovariate(rate_per_s)
        yield at_s


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
