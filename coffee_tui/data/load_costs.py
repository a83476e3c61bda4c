"""What load costs, part by part: what a part takes now, less what it took while no order came."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from coffee_core.pipelines import PIPELINES, is_part
from coffee_core.runstate import Cost
from coffee_tui.data.snapshot import PartCost

_LEAST_PER_S = 5.0
"""Orders a second from which on a price of one is worth a figure."""


@dataclass(slots=True)
class LoadCosts:
    """Measurements of the API, each of the span since the one before, beside the orders that came in that span."""

    _newest: Mapping[str, Cost] = field(default_factory=dict)
    _at_s: float | None = None
    _accepted: Mapping[str, int] = field(default_factory=dict)
    _calm: bool = False
    """Whether no order came in the span before."""
    _at_rest: dict[str, float] = field(default_factory=dict)
    """Part → cores, when no order came in two spans."""
    parts: tuple[PartCost, ...] = ()
    """Every part that is measured, by name."""

    def note(self, at_s: float, costs: Mapping[str, Cost], accepted: Mapping[str, int]) -> None:
        """Take what the API reports at a moment (monotonic seconds), with its counts of 2xx answers."""
        if costs == self._newest:
            return
        span_s = at_s - self._at_s if self._at_s is not None else 0.0
        came = {name: max(0, count - self._accepted.get(name, count)) for name, count in accepted.items()}
        calm = span_s > 0 and not any(came.values())
        # Of two spans: what came in the first may still have been worked on in the second.
        if calm and self._calm:
            self._at_rest = {name: cost.cores for name, cost in costs.items() if cost.cores is not None}
        self._newest, self._at_s, self._accepted, self._calm = costs, at_s, dict(accepted), calm
        self.parts = tuple(self._part(name, cost, came, span_s) for name, cost in sorted(costs.items()))

    def _part(self, name: str, cost: Cost, came: Mapping[str, int], span_s: float) -> PartCost:
        owners = [str(each) for each in PIPELINES if is_part(name, each.info.cost_parts)]
        serves = owners[0] if len(owners) == 1 else ""
        orders = sum(count for pipeline, count in came.items() if not owners or pipeline in owners)
        rest = self._at_rest.get(name)
        per_order = None
        if cost.cores is not None and rest is not None and span_s > 0 and orders / span_s >= _LEAST_PER_S:
            per_order = _two_digits(max(0.0, cost.cores - rest) * 1e6 * span_s / orders)
        return PartCost(
            name,
            serves,
            None if cost.cores is None else round(100 * cost.cores),
            None if rest is None else round(100 * rest),
            per_order,
            # Of the rest, nothing is drawn again for a digit that nobody needs.
            _two_digits(cost.memory_bytes / 1e6),
        )


def _two_digits(value: float) -> int:
    step = 10 ** max(0, len(str(int(value))) - 2)
    return int(round(value / step) * step)
