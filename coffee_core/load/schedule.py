"""When orders are meant to be sent: an open loop, which a slow server cannot slow down."""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Curve(Protocol):
    """Which order is due when, in closed form, so that no error adds up over millions.

    Orders by number, from 0, against seconds from the start.
    """

    def at_s(self, order: int) -> float:
        """Return when an order is due; never decreasing."""
        ...

    def due(self, after_s: float) -> int:
        """Return how many orders are due by then, give or take a rounding error."""
        ...


@dataclass(frozen=True, slots=True)
class Constant:
    """The same gap between any two orders."""

    rate_per_s: float

    def at_s(self, order: int) -> float:
        """Return when an order is due."""
        return order / self.rate_per_s

    def due(self, after_s: float) -> int:
        """Return how many orders are due by then."""
        return max(0, math.floor(after_s * self.rate_per_s) + 1)


@dataclass(frozen=True, slots=True)
class Ramp:
    """A rate that grows, or falls, evenly from one to another and stays there."""

    from_per_s: float
    to_per_s: float
    over_s: float

    def at_s(self, order: int) -> float:
        """Return when an order is due."""
        if order <= 0:
            return 0.0
        if order > self._orders_in_ramp:
            return self.over_s + (order - self._orders_in_ramp) / self.to_per_s
        # The root of from·t + slope/2·t² = order, in the form that does not cancel.
        slope = (self.to_per_s - self.from_per_s) / self.over_s
        return 2 * order / (self.from_per_s + math.sqrt(max(0.0, self.from_per_s**2 + 2 * slope * order)))

    def due(self, after_s: float) -> int:
        """Return how many orders are due by then."""
        if after_s < 0:
            return 0
        ramped_s = min(after_s, self.over_s)
        slope = (self.to_per_s - self.from_per_s) / self.over_s
        ramped = self.from_per_s * ramped_s + slope * ramped_s**2 / 2
        return math.floor(ramped + self.to_per_s * (after_s - ramped_s)) + 1

    @property
    def _orders_in_ramp(self) -> float:
        return (self.from_per_s + self.to_per_s) / 2 * self.over_s


@dataclass(frozen=True, slots=True)
class Bursts:
    """The same number of orders at once, again and again."""

    orders: int
    every_s: float

    def at_s(self, order: int) -> float:
        """Return when an order is due."""
        return order // self.orders * self.every_s

    def due(self, after_s: float) -> int:
        """Return how many orders are due by then."""
        return max(0, math.floor(after_s / self.every_s) + 1) * self.orders


class Times(Protocol):
    """Intended send times, in monotonic seconds, never decreasing.

    They are made as they are popped: however far the sender falls behind, nothing is stored and nothing is
    skipped, so that an order sent late is late by its whole delay (no coordinated omission).
    """

    @property
    def next_s(self) -> float:
        """When the next order is meant to be sent; infinity where there is none left."""
        ...

    def pop(self) -> float:
        """Return the next intended time and move on."""
        ...

    def offered(self, now_s: float) -> int:
        """Return how many orders were meant to be sent by now, popped or not."""
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
        self._popped = 0

    @property
    def next_s(self) -> float:
        """When the next order is meant to be sent; infinity once the schedule is closed and used up."""
        intended_s = self._at(self._popped)
        return intended_s if intended_s < self._end_s else math.inf

    def pop(self) -> float:
        """Return the next intended time and move on."""
        intended_s = self.next_s
        self._popped += 1
        return intended_s

    def close(self, end_s: float) -> float:
        """Intend nothing from ``end_s`` on and return when the next order would have been."""
        self._end_s = end_s
        return self._at(self.offered(end_s))

    def offered(self, now_s: float) -> int:
        """Return how many orders were meant to be sent by now, popped or not."""
        if self.next_s == math.inf:
            return self._popped
        # The curve may be off by a rounding error, which must neither lose nor invent an order.
        due = self._curve.due(min(now_s, self._end_s) - self._start_s)
        while due > 0 and not self._is_due(due - 1, now_s):
            due -= 1
        while self._is_due(due, now_s):
            due += 1
        return max(self._popped, due)

    def _at(self, order: int) -> float:
        return self._start_s + self._curve.at_s(order)

    def _is_due(self, order: int, now_s: float) -> bool:
        intended_s = self._at(order)
        return intended_s <= now_s and intended_s < self._end_s


class Poisson:
    """Independent orders at a mean rate: the gaps between them are exponential."""

    def __init__(self, rate_per_s: float, start_s: float, seed: int | None = None) -> None:
        seed = random.getrandbits(64) if seed is None else seed
        # The same arrivals twice: one iterator is popped, the other counts what is due ahead of it.
        self._arrivals, self._ahead = (_arrivals(rate_per_s, start_s, seed) for _ in range(2))
        self._next_s, self._ahead_s = next(self._arrivals), next(self._ahead)
        self._end_s = math.inf
        self._popped = self._due = 0

    @property
    def next_s(self) -> float:
        """When the next order is meant to be sent; infinity once the schedule is closed and used up."""
        return self._next_s if self._next_s < self._end_s else math.inf

    def pop(self) -> float:
        """Return the next intended time and move on."""
        intended_s, self._next_s = self._next_s, next(self._arrivals)
        self._popped += 1
        return intended_s

    def close(self, end_s: float) -> float:
        """Intend nothing from ``end_s`` on and return it: without memory, any moment is as good to go on from."""
        self._end_s = end_s
        return end_s

    def offered(self, now_s: float) -> int:
        """Return how many orders were meant to be sent by now, popped or not."""
        while self._ahead_s <= now_s and self._ahead_s < self._end_s:
            self._ahead_s = next(self._ahead)
            self._due += 1
        return max(self._popped, self._due)


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

    def pop(self) -> float:
        """Return the moment of the burst and move on."""
        self._left -= 1
        return self._at_s

    def offered(self, now_s: float) -> int:
        """Return the orders of the burst from its moment on."""
        return self._orders if now_s >= self._at_s else 0


class Pattern(StrEnum):
    """How orders are spread over time."""

    STEADY = "steady"
    """A constant gap between two orders."""
    RAMP = "ramp"
    """A rate that grows or falls evenly to the target, and stays there."""
    POISSON = "poisson"
    """Independent orders: exponential gaps with the rate as their mean."""
    BURST = "burst"
    """All orders of an interval at its beginning."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A load over time: a pattern with its numbers. Raises ValueError in words where they make none."""

    rate_per_s: float
    """Orders per second; of a ramp, at its end; of bursts, on average."""
    pattern: Pattern = Pattern.STEADY
    from_per_s: float = 0.0
    """Orders per second at the beginning of a ramp."""
    over_s: float = 30.0
    """Seconds that a ramp takes."""
    every_s: float = 1.0
    """Seconds from one burst to the next."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "pattern", Pattern(self.pattern))
        _require(self.rate_per_s, "a rate", "per second")
        _require(self.over_s, "the time of a ramp", "seconds")
        _require(self.every_s, "the time between two bursts", "seconds")
        if not (self.from_per_s >= 0 and math.isfinite(self.from_per_s)):
            raise ValueError(f"a ramp begins at 0 per second or more, not {self.from_per_s}")

    @property
    def orders_per_burst(self) -> int:
        """Orders of one burst."""
        return max(1, round(self.rate_per_s * self.every_s))

    def times(self, start_s: float, seed: int | None = None) -> OpenTimes:
        """Return the intended times from ``start_s`` (monotonic seconds) on; a seed makes Poisson repeatable."""
        if self.pattern is Pattern.POISSON:
            return Poisson(self.rate_per_s, start_s, seed)
        return Planned(self._curve(), start_s)

    def _curve(self) -> Curve:
        match self.pattern:
            case Pattern.RAMP:
                return Ramp(self.from_per_s, self.rate_per_s, self.over_s)
            case Pattern.BURST:
                return Bursts(self.orders_per_burst, self.every_s)
            case _:
                return Constant(self.rate_per_s)


def _require(value: float, what: str, unit: str) -> None:
    if not (value > 0 and math.isfinite(value)):
        raise ValueError(f"{what} must be greater than 0 {unit}, not {value}")
