"""What processes cost, in words."""

from collections.abc import Iterable

from coffee_tui.feed.snapshot import CostView
from coffee_tui.widgets.text import UNKNOWN, memory


def said_cost(cost: CostView | None, *, named: bool = True) -> str:
    """Write one cost: ``worker cpu 9 % · 61 MB``."""
    if cost is None:
        return "cost not known here" if named else ""
    percent = UNKNOWN if cost.percent is None else f"{cost.percent}"
    return f"{cost.name} " * named + f"cpu {percent} % · {memory(cost.megabytes)}"


def said_shared(costs: Iterable[CostView]) -> str:
    """Write what all pipelines stand on: ``shared: api 12 % 84 MB · redis 3 % 12 MB``; empty where not known."""
    found = [
        f"{cost.name} {UNKNOWN if cost.percent is None else cost.percent} % {memory(cost.megabytes)}"
        for cost in costs
    ]
    return "shared: " + " · ".join(found) if found else ""
