"""A load as texts that a person edits, and back: what cannot be read is said in words."""

from collections.abc import Mapping

from coffee_core.load.shape import Pattern
from coffee_core.menu import DRINKS, STORES
from coffee_core.pipelines import Pipeline
from coffee_tui.feed.load_plan import LoadPlan

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
    numbers = {name: _number(name, texts[name]) for name in LABELS}
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


def _number(name: str, text: str) -> float:
    try:
        number = float(text.replace(",", "").replace(" ", "").removesuffix("%"))
    except ValueError:
        raise ValueError(f"{LABELS[name]} must be a number, not {text!r}") from None
    if number != number or number in (float("inf"), float("-inf")):
        raise ValueError(f"{LABELS[name]} must be a number, not {text!r}")
    return number
