"""Conditions on what was measured, such as ``v2.dashboard.p99 > 50ms``."""

import operator
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backend.lab.bench.load_run import Measured
from coffee_core.pipelines import Pipeline, pipeline_named

_TEXT = re.compile(r"\s*(\w+)\.([a-z_]+)(?:\.(\w+))?\s*(<=|>=|<|>)\s*([0-9.]+)\s*(us|µs|ms|s|/s|%|)\s*")
_COMPARE = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_US = {"us": 1.0, "µs": 1.0, "ms": 1e3, "s": 1e6}
_LATENCIES = ("api", "dashboard", "shown")
_QUANTILES = ("p50", "p90", "p99", "p999", "max")
_RATES = ("offered_per_s", "achieved_per_s")
_COUNTS = (
    "offered",
    "sent",
    "acknowledged",
    "accepted",
    "rejected",
    "refused",
    "unknown",
    "late",
    "slipped",
    "unseen",
)


@dataclass(frozen=True, slots=True)
class Condition:
    """A comparison of one measured value with a bound."""

    text: str
    """As it was given."""
    pipeline: Pipeline
    path: tuple[str, ...]
    """Fields of ``Measured`` and ``Latency``."""
    comparison: str
    bound: float
    """In µs, per second, orders, or as a share of what was offered."""
    unit: str

    @classmethod
    def parse(cls, text: str) -> "Condition":
        """Read a condition. Raises ValueError saying what one looks like."""
        found = _TEXT.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is no condition: it looks like 'v2.dashboard.p99 > 50ms'")
        pipeline, name, quantile, comparison, number, unit = found.groups()
        path = (name,) if quantile is None else (name, quantile)
        _check(text, name, quantile, unit)
        bound = float(number) * _US.get(unit, 0.01 if unit == "%" else 1.0)
        return cls(text.strip(), pipeline_named(pipeline), path, comparison, bound, unit)

    def holds(self, measured: Mapping[Pipeline, Measured]) -> bool | None:
        """Tell whether it holds; None where the value was not measured."""
        value = self._value(measured)
        return None if value is None else bool(_COMPARE[self.comparison](value, self.bound))

    def found(self, measured: Mapping[Pipeline, Measured]) -> str:
        """Return the measured value in the unit of the condition."""
        value = self._value(measured)
        if value is None:
            return "not measured"
        return f"{value / _US.get(self.unit, 0.01 if self.unit == '%' else 1.0):,.4g} {self.unit}".strip()

    def _value(self, measured: Mapping[Pipeline, Measured]) -> float | None:
        value: Any = measured.get(self.pipeline)
        if value is None:
            return None
        offered = value.offered
        for name in self.path:
            value = getattr(value, name)
        if value is None or self.unit != "%":
            return None if value is None else float(value)
        return value / offered if offered else None


def _check(text: str, name: str, quantile: str | None, unit: str) -> None:
    """Raise ValueError where name, quantile and unit do not go together."""
    if name in _LATENCIES:
        if quantile not in _QUANTILES:
            raise ValueError(f"{text!r}: {name} has {', '.join(_QUANTILES)}")
        if unit not in _US:
            raise ValueError(f"{text!r}: a latency is compared with us, ms or s")
    elif name in _RATES:
        if quantile or unit not in ("", "/s"):
            raise ValueError(f"{text!r}: a rate is compared with a number per second")
    elif name in _COUNTS:
        if quantile or unit not in ("", "%"):
            raise ValueError(
                f"{text!r}: orders are compared with a number, or with a share of what was offered in %"
            )
    else:
        known = ", ".join((*_LATENCIES, *_RATES, *_COUNTS))
        raise ValueError(f"{text!r}: {name!r} is not measured; choose from {known}")
