"""What pipelines are to reach with two cores for everything, as ratios within one run where that is possible.

The bars are those of the three built-in pipelines, set for this project: others are measured and have none.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median

from backend.lab.bench.load_run import duration
from backend.lab.bench.result import Result
from backend.lab.bench.size import SIZES
from coffee_core.pipelines import PIPELINES
from coffee_core.pipelines.constants import V1, V2, V3, V4, V5

_DRAIN_PER_S = 50_000
_OF_INSERT = 0.7
_OF_BARE_PARTS = 1.5
_WORKERS_PER_S = 40_000
_DASHBOARDS_US = (
    (V2, (3_000, 15_000)),
    (V3, (8_000, 30_000)),
    (V4, (4_000, 12_000)),
    (V5, (3_000, 12_000)),
)
"""p50 and p99."""
Show = Callable[[float], str]


@dataclass(frozen=True, slots=True)
class Target:
    """One of them, beside what was measured."""

    what: str
    bound: str
    measured: str
    met: bool | None
    """None where it was not measured."""

    @property
    def verdict(self) -> str:
        """``met``, ``not met`` or ``not measured``."""
        return {True: "met", False: "not met", None: "not measured"}[self.met]


def targets(result: Result) -> list[Target]:
    """Return all that concern the pipelines of a run."""
    found = [
        *_answers(result),
        *_dashboards(result),
        *_table(result),
        *_drains(result),
        *_memory(result),
        *_workers_memory(result),
        *_two(result),
    ]
    gone = tuple(f"{pipeline}:" for pipeline in PIPELINES if pipeline not in result.pipelines)
    return [target for target in found if not target.what.startswith(gone)]


def _at_most(what: str, value: float | None, most: float, show: Show) -> Target:
    return _target(what, f"≤ {show(most)}", value, show, met=value is not None and value <= most)


def _at_least(what: str, value: float | None, least: float, show: Show) -> Target:
    return _target(what, f"≥ {show(least)}", value, show, met=value is not None and value >= least)


def _target(what: str, bound: str, value: float | None, show: Show, *, met: bool) -> Target:
    return Target(what, bound, "–" if value is None else show(value), None if value is None else met)


def _ratio(result: Result, name: str, other: str) -> float | None:
    value, of = result.figures.middle(name), result.figures.middle(other)
    return value / of if value is not None and of else None


def _answers(result: Result) -> Iterator[Target]:
    for other, words in (("noop", "no-op"), ("starlette", "Starlette")):
        for pipeline, most in ((V1, 5), (V2, 2), (V3, 5)):
            ratio = _ratio(result, f"{pipeline}.closed.1.p50", f"{other}.closed.1.p50")
            yield _at_most(f"{pipeline}: answer p50, one client, against {words}", ratio, most, _times)
        for pipeline, least in ((V1, 0.30), (V2, 0.50), (V3, 0.40)):
            ratio = _ratio(result, f"{pipeline}.closed.32.rate", f"{other}.closed.32.rate")
            yield _at_least(f"{pipeline}: throughput, 32 clients, against {words}", ratio, least, _times)
    yield from _answers_against_bare_parts(result)
    ratio = _ratio(result, f"{V5}.closed.32.rate", f"{V1}.closed.32.rate")
    if V1 in result.pipelines:
        yield _at_least(f"{V5}: throughput, 32 clients, against {V1}", ratio, 0.80, _times)


def _answers_against_bare_parts(result: Result) -> Iterator[Target]:
    """Yield for each pipeline its answer against a textbook endpoint plus the one call that makes it durable."""
    endpoint = result.figures.middle("starlette.closed.1.p50")
    for pipeline, call, words in (
        (V1, "insert_one", "INSERT"),
        (V2, "xadd", "XADD"),
        (V3, "kafka", "Kafka send"),
    ):
        answer, store = (
            result.figures.middle(name) for name in (f"{pipeline}.closed.1.p50", f"ceiling.{call}.p50")
        )
        ratio = answer / (endpoint + store) if answer and store and endpoint else None
        what = f"{pipeline}: answer p50, one client, against its bare parts: Starlette + {words}"
        yield _at_most(what, ratio, _OF_BARE_PARTS, _times)


def _dashboards(result: Result) -> Iterator[Target]:
    for pipeline, bounds_us in _DASHBOARDS_US:
        for rate in (20, 500):
            name = f"{pipeline}.alone.{rate}"
            orders = result.figures.get(f"{name}.orders")
            few = f", {len(orders.values)} × {orders.middle:,.0f} orders" if orders else ""
            for kind, since in (("dashboard", ""), ("shown", " from acceptance on")):
                for quantile, most_us in zip(("p50", "p99"), bounds_us, strict=True):
                    found = result.figures.middle(f"{name}.{kind}.{quantile}")
                    what = f"{pipeline}: dashboard {quantile}{since} at {rate}/s{few}"
                    yield _at_most(what, found, most_us, duration)


def _table(result: Result) -> Iterator[Target]:
    rows = SIZES[result.size].table_rows
    yield _at_most(
        f"v1: a run of its aggregator over {rows:,} rows", result.figures.middle("v1.table.run"), 0.5, _seconds
    )
    ratio = _ratio(result, "v1.table.during.api.p99", "v1.table.without.api.p99")
    yield _at_most("v1: answer p99 during such runs, against without", ratio, 1.5, _times)


def _drains(result: Result) -> Iterator[Target]:
    orders = SIZES[result.size].preload
    rate, share = result.figures.middle("v2.drain.rate"), _ratio(result, "v2.drain.rate", "ceiling.insert.rate")
    yield Target(
        f"v2: drain of {orders:,} orders, one worker",
        f"≥ {_per_s(_DRAIN_PER_S)} or ≥ {_OF_INSERT:.2f} × bare INSERT",
        "–" if rate is None else _per_s(rate) + ("" if share is None else f" = {share:.2f} × bare INSERT"),
        None if rate is None else rate >= _DRAIN_PER_S or (share or 0) >= _OF_INSERT,
    )
    # The last of several: the first one finds the JVM cold.
    last = figure.values[-1] if (figure := result.figures.get("v3.drain.rate")) else None
    yield _at_least(f"v3: drain of {orders:,} orders, last run", last, _DRAIN_PER_S, _per_s)
    rate = result.figures.middle("v4.drain.rate")
    yield _at_least(f"v4: drain of {orders:,} orders, one aggregator", rate, _WORKERS_PER_S, _per_s)
    rate = result.figures.middle("v4.drain.stored.rate")
    yield _at_least(f"v4: storing {orders:,} orders, one worker", rate, _WORKERS_PER_S, _per_s)
    rounds = [figure.values for name in ("v4", "textbook") if (figure := result.figures.get(f"{name}.drain.rate"))]
    # Round by round: the two of one round met the machine as it was then.
    ratios = [one / other for one, other in zip(*rounds, strict=False)] if len(rounds) == 2 else []
    words = "v4: drain against a textbook consumer, median of its rounds"
    if len(ratios) > 1:
        words += f" ({min(ratios):.2f} × to {max(ratios):.2f} ×)"
    yield _at_least(words, median(ratios) if ratios else None, 1.0, _times)


def _memory(result: Result) -> Iterator[Target]:
    for when, words, most in (("idle", "idle", 2.0e9), ("after", "after this run", 3.0e9)):
        used = result.figures.middle(f"{when}.memory")
        yield _at_most(f"memory (PSS) of the whole stack, {words}", used, most, _gigabytes)


def _workers_memory(result: Result) -> Iterator[Target]:
    added = result.figures.middle("v4.added.memory") if V3 in result.pipelines else None
    yield _at_most("v4: memory (PSS) that it adds to a stack with v3", added, 150e6, _megabytes)
    alone = result.figures.middle("idle.memory") if set(result.pipelines) == {V1, V4} else None
    yield _at_most("v4: memory (PSS) of a stack of v1 and v4, idle", alone, 600e6, _megabytes)


def _two(result: Result) -> Iterator[Target]:
    for pipeline, kind in ((V2, "workers"), (V3, "slots")):
        one = figure.values[-1] if (figure := result.figures.get(f"{pipeline}.drain.rate")) else None
        two = result.figures.middle(f"{pipeline}.drain2.rate")
        gain = two / one if one and two else None
        met = gain is not None and gain > 1
        yield _target(f"{pipeline}: drain by two {kind}, against one", "> 1 ×", gain, _times, met=met)


def _times(value: float) -> str:
    return f"{value:.2f} ×" if value < 10 else f"{value:.1f} ×"


def _seconds(value: float) -> str:
    return f"{value:.2f} s"


def _per_s(value: float) -> str:
    return f"{value:,.0f}/s"


def _megabytes(value: float) -> str:
    return f"{value / 1e6:,.0f} MB"


def _gigabytes(value: float) -> str:
    return f"{value / 1e9:.2f} GB"
