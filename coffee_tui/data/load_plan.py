"""What load is wanted: where it goes, how fast, in which shape, what is ordered. A frozen value."""

import sys
from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from coffee_core.load.orders import OrderMix
from coffee_core.load.schedule import Pattern, Shape
from coffee_core.menu import DRINKS, STORES
from coffee_core.numbers import parse_number
from coffee_core.pipelines import DEFAULT_PIPELINES, Pipeline

RATES: tuple[float, ...] = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000)
"""The steps of + and -, orders per second for each pipeline."""
MOST_PER_S = 20_000.0
"""Highest rate, orders per second for each pipeline: beyond what one process can send."""
MOST_IN_A_BURST = 100_000
LABELS: dict[str, str] = {
    "rate": "the rate",
    "from": "where a ramp begins",
    "over": "the time of a ramp",
    "every": "the time between two bursts",
    "burst": "the orders of one burst",
    "repeats": "the share of repeats",
    "malformed": "the share of malformed orders",
    **{name: f"the weight of {name}" for name in (*DRINKS, *STORES)},
}
"""Field → what it is called where it is wrong."""
Command = dict[str, Any]
"""A command of ``coffee_core.load.__main__``."""
Weights = tuple[tuple[str, float], ...]
"""(name, weight) in the order of the menu."""


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """Everything that can be chosen of a load."""

    pipelines: tuple[Pipeline, ...] = DEFAULT_PIPELINES
    """Where it goes."""
    rate_per_s: float = 10.0
    """Orders per second for each of them; of a ramp at its end, of bursts on average."""
    pattern: Pattern = Pattern.STEADY
    """How orders are spread over time."""
    from_per_s: float = 0.0
    """Orders per second at the beginning of a ramp."""
    over_s: float = 30.0
    """Seconds that a ramp takes."""
    every_s: float = 1.0
    """Seconds from one burst of the pattern to the next."""
    burst_orders: int = 1_000
    """Orders of the burst that a key sends, for each pipeline."""
    repeats: float = 0.05
    """Share of requests that repeat an earlier order under its key."""
    malformed: float = 0.01
    """Share of requests that must be rejected."""
    drinks: Weights = tuple((name, 1.0) for name in DRINKS)
    """How often each drink is ordered, compared with the others."""
    stores: Weights = tuple((name, 1.0) for name in STORES)
    """How often each store is ordered at, compared with the others."""

    def check(self) -> None:
        """Raise ValueError, in words, where this makes no load."""
        if not self.pipelines:
            raise ValueError("choose at least one pipeline")
        for what, per_s in (("a rate", self.rate_per_s), ("the beginning of a ramp", self.from_per_s)):
            if per_s > MOST_PER_S:
                raise ValueError(f"{what} is at most {MOST_PER_S:,.0f} per second, not {per_s:,.0f}")
        if not 1 <= self.burst_orders <= MOST_IN_A_BURST:
            raise ValueError(f"a burst has 1 to {MOST_IN_A_BURST:,} orders, not {self.burst_orders:,}")
        self._shape()
        OrderMix(self.repeats, self.malformed, drinks=dict(self.drinks), stores=dict(self.stores))

    def faster(self, steps: int) -> "LoadPlan":
        """Return the plan with a rate so many steps up or down; a rate between two steps goes to one of them."""
        at = bisect_left(RATES, self.rate_per_s) if steps > 0 else bisect_right(RATES, self.rate_per_s) - 1
        between = at >= len(RATES) or at < 0 or RATES[at] != self.rate_per_s
        at += steps - (1 if between and steps > 0 else -1 if between else 0)
        return replace(self, rate_per_s=RATES[min(len(RATES) - 1, max(0, at))])

    def run(self) -> Command:
        """Return the command that starts it."""
        shape = {"pattern": self.pattern, "from_per_s": self.from_per_s, "over_s": self.over_s}
        more = {"every_s": self.every_s, "pipelines": self.pipelines}
        return {"do": "run", "rate_per_s": self.rate_per_s, **shape, **more}

    def burst(self) -> Command:
        """Return the command that sends one burst."""
        return {"do": "burst", "orders": self.burst_orders, "pipelines": self.pipelines}

    def mix(self) -> Command:
        """Return the command that chooses what is ordered."""
        shares = {"repeats": self.repeats, "malformed": self.malformed}
        return {"do": "mix", **shares, "drinks": dict(self.drinks), "stores": dict(self.stores)}

    def _shape(self) -> Shape:
        return Shape(self.rate_per_s, self.pattern, self.from_per_s, self.over_s, self.every_s)

    def in_words(self) -> str:
        """Return rate and shape as a panel has room for them: ``steady 200/s each``."""
        rate = f"{_number(self.rate_per_s)}/s"
        match self.pattern:
            case Pattern.RAMP:
                return f"ramp {_number(self.from_per_s)} to {rate} each in {self.over_s:g} s"
            case Pattern.BURST:
                return f"bursts of {self._shape().orders_per_burst:,} each every {self.every_s:g} s"
            case _:
                return f"{self.pattern} {rate} each"


def _number(per_s: float) -> str:
    return f"{per_s:,.0f}" if per_s == int(per_s) else f"{per_s:g}"


def texts_of(plan: LoadPlan) -> dict[str, str]:
    """Return the text of each field of ``LABELS``; shares in per cent."""
    numbers = {
        "rate": plan.rate_per_s,
        "from": plan.from_per_s,
        "over": plan.over_s,
        "every": plan.every_s,
        "burst": plan.burst_orders,
        "repeats": plan.repeats * 100,
        "malformed": plan.malformed * 100,
        **dict(plan.drinks),
        **dict(plan.stores),
    }
    return {name: f"{number:.10g}" for name, number in numbers.items()}


def plan_of(texts: Mapping[str, str], pipelines: tuple[Pipeline, ...], pattern: Pattern) -> LoadPlan:
    """Return the load that the fields describe. Raises ValueError in words where they describe none."""
    numbers = {name: _parsed(name, texts[name]) for name in LABELS}
    if numbers["burst"] != int(numbers["burst"]):
        raise ValueError(f"{LABELS['burst']} must be a whole number, not {texts['burst']}")
    for name in ("repeats", "malformed"):
        if not 0 <= numbers[name] <= 100:
            raise ValueError(f"{LABELS[name]} lies between 0 and 100 %, not at {texts[name]}")
    plan = LoadPlan(
        pipelines,
        numbers["rate"],
        pattern,
        numbers["from"],
        numbers["over"],
        numbers["every"],
        int(numbers["burst"]),
        numbers["repeats"] / 100,
        numbers["malformed"] / 100,
        tuple((name, numbers[name]) for name in DRINKS),
        tuple((name, numbers[name]) for name in STORES),
    )
    plan.check()
    return plan


def _parsed(name: str, text: str) -> float:
    typed = text.replace(",", "").replace(" ", "").removesuffix("%")
    try:
        return parse_number(typed, -sys.float_info.max, sys.float_info.max)
    except ValueError:
        raise ValueError(f"{LABELS[name]} must be a number, not {text!r}") from None
