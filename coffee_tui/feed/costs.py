"""What each pipeline's own processes cost, and those that all of them share."""

from collections.abc import Iterable, Mapping

from coffee_core.pipelines import Pipeline
from coffee_tui.feed.readings import Cost
from coffee_tui.feed.snapshot import CostView

# Whose processes, by the beginning of their names.
_OWN: dict[Pipeline, tuple[str, tuple[str, ...]]] = {
    Pipeline.V1: ("cron", ("cafe-order-aggregator",)),
    Pipeline.V2: ("worker", ("stream-worker",)),
    Pipeline.V3: ("Kafka + Flink", ("kafka", "flink")),
}
_SHARED = (("api", ("cafe-order-api",)), ("postgres", ("postgres",)), ("redis", ("redis",)))


def own_cost(pipeline: Pipeline, costs: Mapping[str, Cost]) -> CostView | None:
    """Return what the processes of one pipeline alone cost; None where they are not known."""
    return _sum(*_OWN[pipeline], costs)


def shared_costs(costs: Mapping[str, Cost]) -> tuple[CostView, ...]:
    """Return what each part costs that all pipelines stand on."""
    found = (_sum(name, beginnings, costs) for name, beginnings in _SHARED)
    return tuple(each for each in found if each is not None)


def _sum(name: str, beginnings: tuple[str, ...], costs: Mapping[str, Cost]) -> CostView | None:
    found = [cost for part, cost in costs.items() if part.startswith(beginnings)]
    if not found:
        return None
    return CostView(name, _percent(found), _rounded(round(sum(cost.memory_bytes for cost in found) / 1e6)))


def _percent(costs: Iterable[Cost]) -> int | None:
    known = [cost.cores for cost in costs if cost.cores is not None]
    return round(100 * sum(known)) if known else None


def _rounded(megabytes: int) -> int:
    """Keep two digits of three: memory that breathes is not news."""
    step = 10 ** max(0, len(str(megabytes)) - 2)
    return int(round(megabytes / step) * step)
