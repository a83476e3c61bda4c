"""Measured figures by name, each with all its repetitions: the middle, and the spread beside it."""

import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

QUANTILES = {"p50": 50.0, "p99": 99.0, "p999": 99.9}
"""Name in the names of figures → percentile."""


class Better(StrEnum):
    """Which of two values of a figure is better."""

    LOWER = "lower"
    HIGHER = "higher"


@dataclass(slots=True)
class Figure:
    """One quantity, measured once or several times."""

    unit: str
    """``µs``, ``s``, ``/s``, ``bytes``, ``× no-op`` …"""
    better: Better
    values: list[float] = field(default_factory=list)
    """One for each repetition."""

    @property
    def middle(self) -> float:
        """The median."""
        return statistics.median(self.values)

    @property
    def low(self) -> float:
        """The lowest repetition."""
        return min(self.values)

    @property
    def high(self) -> float:
        """The highest repetition."""
        return max(self.values)


class Figures:
    """All figures of a run. Names read from general to special: ``v2.alone.200.dashboard.p99``."""

    def __init__(self) -> None:
        self._figures: dict[str, Figure] = {}

    def add(self, name: str, value: float | None, unit: str, better: Better = Better.LOWER) -> None:
        """Add a repetition; None is one that could not be measured, and leaves nothing."""
        if value is not None:
            self._figures.setdefault(name, Figure(unit, better)).values.append(value)

    def get(self, name: str) -> Figure | None:
        """Return a figure, or None where it was not measured."""
        return self._figures.get(name)

    def middle(self, name: str) -> float | None:
        """Return the median of a figure, or None where it was not measured."""
        figure = self._figures.get(name)
        return None if figure is None else figure.middle

    def __iter__(self) -> Iterator[tuple[str, Figure]]:
        return iter(self._figures.items())

    def as_json(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        return {
            name: {
                "unit": figure.unit,
                "better": figure.better,
                "middle": figure.middle,
                "low": figure.low,
                "high": figure.high,
                "values": figure.values,
            }
            for name, figure in sorted(self._figures.items())
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        """Read what ``as_json`` has made. Raises KeyError and ValueError of anything else."""
        figures = cls()
        figures._figures = {
            name: Figure(fields["unit"], Better(fields["better"]), fields["values"])
            for name, fields in raw.items()
        }
        return figures
