"""Curves of an offered load: which order is due when, in closed form, so that no error adds up over millions."""

import math
from dataclasses import dataclass
from typing import Protocol


class Curve(Protocol):
    """Orders by number, from 0, against seconds from the start."""

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
