"""What a load looks like over time, as a value that crosses a pipe."""

import math
from dataclasses import dataclass
from enum import StrEnum

from coffee_core.load.curves import Bursts, Constant, Curve, Ramp
from coffee_core.load.schedule import OpenTimes, Planned, Poisson


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
    """A pattern with its numbers. Raises ValueError in words where they make no load."""

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
