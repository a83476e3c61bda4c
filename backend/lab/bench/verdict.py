"""The verdict: what follows from the figures of a run, in plain words. Nothing here is known beforehand."""

import math
from itertools import combinations, pairwise, product, takewhile

from backend.lab.bench.figures import Figure
from backend.lab.bench.harness import periodic
from backend.lab.bench.load_run import duration
from backend.lab.bench.result import Result
from backend.lab.bench.steps_drain import runs_on_flink
from backend.lab.page.page import Sentence
from coffee_core.pipelines import LogKind, Pipeline
from coffee_core.pipelines.declaration import Windows

_ALIKE = 1.15
"""Closer than this factor, two figures are called alike."""
_ONCE = 1.5
"""How far what was measured once may be off, as a factor."""
_BOUNDS_US = (100_000, 15_000_000)
"""How late a dashboard may be, for those who have to choose."""
_COSTS = (
    ("own.memory", "memory of its own parts", "MB", 1e6),
    ("cost.cpu", "processor time of a million orders", "s", 1.0),
    ("first.visible", "start to first order shown", "s", 1.0),
    ("recovery", "standstill after a kill", "s", 1.0),
)
"""Figure, what it is, its unit, and how many of the figure's own units are one of that."""
_BOTH = (
    "Both replay their topic, and both grow: the job from a savepoint, workers by one more member. These are"
    " properties, not figures of this run."
)
Curve = list[tuple[float, Figure]]
"""Points of (orders a second, figure in µs)."""


def verdict(result: Result) -> list[str]:
    """Return its sentences."""
    return [sentence.text for sentence in sentences(result)]


def sentences(result: Result) -> list[Sentence]:
    """Return them with the picture or table of the report in which their figures are."""
    parts = {
        _visible_latency: "rates",
        _answers: "figures",
        _keeping_up: "rates",
        _cost: "cost",
        _burden: "figures",
        _exactness: "figures",
        _crossings: "rates",
        _choice: "cost",
        _database_alone: "figures",
        _job_or_workers: "figures",
        _enough: "rates",
    }
    return [Sentence(text, about) for part, about in parts.items() for text in part(result)]


def in_short(result: Result) -> list[Sentence]:
    """Return those that somebody reads who has a minute."""
    parts = {_choice: "cost", _enough: "rates", _exactness: "figures"}
    return [Sentence(text, about) for part, about in parts.items() for text in part(result)]


def name_of(pipeline: Pipeline) -> str:
    """Return a pipeline as sentences name it."""
    return f"{pipeline} ({pipeline.info.title})"


def _by(result: Result, name: str) -> list[tuple[float, Pipeline]]:
    """Return the pipelines with a figure of this name, the lowest first."""
    found = [(result.figures.middle(f"{pipeline}.{name}"), pipeline) for pipeline in result.pipelines]
    return sorted((value, pipeline) for value, pipeline in found if value is not None)


def _visible_latency(result: Result) -> list[str]:
    sentences = []
    for rate in result.rates:
        ranked = _visible_latency_at(result, rate)
        if len(ranked) > 1:
            parts = ", ".join(f"{duration(value)} by {name_of(pipeline)}" for value, pipeline in ranked)
            sentences.append(f"At {rate:,} orders/s, 99 of 100 orders are on the dashboard within {parts}.")
    return sentences


def _visible_latency_at(result: Result, rate: int) -> list[tuple[float, Pipeline]]:
    """Return p99 of each dashboard in µs, the lowest first; of one written by runs, at any rate."""
    ranked = _by(result, f"alone.{rate}.dashboard.p99")
    return sorted(
        (result.figures.middle(f"{periodic(pipeline)}.p99") or value, pipeline) for value, pipeline in ranked
    )


def _choice(result: Result) -> list[str]:
    """Return which is the cheapest of those that are not later than some bounds."""
    if len(_by(result, "cost.cpu")) < 2:
        return []
    # At each rate what was measured at it: of a part that is awake all the time an order costs less the more come.
    costs = {rate: _by(result, f"alone.{rate}.cpu") for rate in result.rates}
    costs[max(result.rates)] = costs[max(result.rates)] or _by(result, "cost.cpu")
    sentences = []
    for bound_us in _BOUNDS_US:
        chosen: dict[str, list[str]] = {}
        for rate in (each for each in result.rates if costs[each]):
            early = {pipeline for late_us, pipeline in _visible_latency_at(result, rate) if late_us <= bound_us}
            ranked = [(cost, pipeline) for cost, pipeline in costs[rate] if pipeline in early]
            cheapest = _either(_cheapest(ranked)) if ranked else "none of them"
            chosen.setdefault(cheapest, []).append(f"{rate:,}")
        parts = "; ".join(f"{name} at {', '.join(rates)} orders/s" for name, rates in chosen.items())
        where = f"Where 99 of 100 orders must be on the dashboard within {duration(bound_us)}"
        sentences.append(f"{where}, the least processor time is that of {parts}.")
    return sentences


def _database_alone(result: Result) -> list[str]:
    """Return up to which rate a pipeline without a log is enough, how late it is, where its variants break."""
    sentences = []
    for pipeline in result.pipelines:
        if pipeline.info.log is not None:
            continue
        most = result.figures.middle(f"{pipeline}.breakpoint")
        if most is None:
            sentences.append(f"Up to which rate {name_of(pipeline)}, without a log, is enough was not measured.")
        elif not most:
            sentences.append(
                f"{name_of(pipeline)}, without a log, was not seen to keep up with any rate that was tried."
            )
        else:
            late = _late_within(result, pipeline, most)
            sentences.append(f"Without a log, {name_of(pipeline)} is enough up to {most:,.0f} orders/s; {late}.")
        for variant in pipeline.info.variants:
            broke = result.figures.middle(f"{pipeline}.{variant}.breakpoint")
            if broke is None:
                sentences.append(f"At which rate {pipeline} breaks as its variant {variant} was not measured.")
            else:
                of = f", {broke / most:.2f} × what {pipeline} itself takes" if most else ""
                sentences.append(f"As its variant {variant}, {pipeline} breaks above {broke:,.0f} orders/s{of}.")
    return sentences


def _late_within(result: Result, pipeline: Pipeline, most: float) -> str:
    points = [(rate, figure) for rate, figure in curve(result, pipeline, "dashboard") if rate <= most]
    if not points:
        return "how late its dashboard is then was not measured"
    rate, figure = points[-1]
    return f"at {rate:,.0f} orders/s, 99 of 100 orders are on its dashboard within {duration(figure.middle)}"


def _job_or_workers(result: Result) -> list[str]:
    """Return what a job of Flink costs beside plain workers on a topic of their own, and what it has for that."""
    topics = [each for each in result.pipelines if each.info.log and each.info.log.kind is LogKind.TOPIC]
    jobs = [each for each in topics if runs_on_flink(each)]
    return [
        sentence
        for job, workers in product(jobs, [each for each in topics if each not in jobs])
        for sentence in _job_beside_workers(result, job, workers)
    ]


def _job_beside_workers(result: Result, job: Pipeline, workers: Pipeline) -> list[str]:
    parts = []
    for name, words, unit, scale in _COSTS:
        one, other = (result.figures.middle(f"{pipeline}.{name}") for pipeline in (job, workers))
        if one is None or other is None:
            parts.append(f"{words} not measured")
        else:
            parts.append(f"{words} {_short(one / scale)} {unit} against {_short(other / scale)} {unit}")
    has = ["message ids on disk, where those of workers fill the memory of Redis"]
    if job.info.windows is Windows.REDIS and workers.info.windows is Windows.NONE:
        has.insert(0, "windows in event time")
    return [
        f"{name_of(job)} beside {name_of(workers)}, {'; '.join(parts)}.",
        f"For that it has {' and '.join(has)}. {_BOTH}",
    ]


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"


def _enough(result: Result) -> list[str]:
    """Return up to which rate each dashboard is early enough: where each rung of the ladder ends."""
    bound_us = _BOUNDS_US[0]
    parts = []
    for pipeline in result.pipelines:
        points = curve(result, pipeline, "dashboard")
        most = result.figures.middle(f"{pipeline}.breakpoint")
        kept_up = [point for point in points if most is None or point[0] <= most]
        early = list(takewhile(lambda point: point[1].middle <= bound_us, kept_up))
        if not points:
            parts.append(f"{name_of(pipeline)} was not measured")
        elif most == 0:
            parts.append(f"{name_of(pipeline)} was not seen to keep up with any rate that was tried")
        elif not early:
            parts.append(f"{name_of(pipeline)} at no rate measured")
        else:
            # The highest that was measured is no end of it.
            least = "at least " if early == points else ""
            parts.append(f"{name_of(pipeline)} up to {least}{early[-1][0]:,.0f} orders/s")
    return [f"99 of 100 orders on the dashboard within {duration(bound_us)}: {'; '.join(parts)}."]


def _answers(result: Result) -> list[str]:
    ranked = _by(result, "closed.1.p50")
    if len(ranked) < 2:
        return []
    (best, first), *_, (worst, last) = ranked
    if worst < best * _ALIKE:
        return [f"A single client waits about as long for all of them: {duration(best)} to {duration(worst)}."]
    waits = f"{name_of(first)} answers a single client soonest, in {duration(best)}"
    return [f"{waits}; {name_of(last)} takes {worst / best:.1f} times as long, {duration(worst)}."]


def _keeping_up(result: Result) -> list[str]:
    ranked = _by(result, "breakpoint")[::-1]
    if not ranked:
        return []
    parts = ", ".join(
        f"{name_of(pipeline)} with {f'{value:,.0f}/s' if value else 'none that was tried'}"
        for value, pipeline in ranked
    )
    return [f"Clients, servers and workers sharing this machine, the highest rate kept up with: {parts}."]


def _cost(result: Result) -> list[str]:
    ranked = _by(result, "cost.cpu")
    if len(ranked) < 2:
        return []
    first = _cheapest(ranked)
    (least, _), *_, (most, last) = ranked
    cheap = f"Of a million orders, the least processor time is that of {_either(first)}, {least:,.0f} s"
    if last in first:
        return [f"{cheap}: all about alike."]
    return [f"{cheap}; {name_of(last)} takes {most / least:.1f} times that, {most:,.0f} s."]


def _cheapest(ranked: list[tuple[float, Pipeline]]) -> list[Pipeline]:
    """Return the first, and whoever is so close to it that it may as well be the first."""
    return [pipeline for value, pipeline in ranked if value <= ranked[0][0] * _ALIKE]


def _either(pipelines: list[Pipeline]) -> str:
    return " or ".join(map(name_of, sorted(pipelines)))


def _burden(result: Result) -> list[str]:
    sentences = []
    memory, after = result.figures.middle("idle.memory"), result.figures.middle("after.memory")
    if memory is not None and after is not None:
        sentences.append(
            f"The whole stack takes {memory / 1e9:.2f} GB idle and {after / 1e9:.2f} GB after this run."
        )
    for own, pipeline in _by(result, "own.memory"):
        number = result.figures.middle(f"{pipeline}.own.parts") or 0
        more = f"{number:,.0f} more process{'es' * (number != 1)} with {own / 1e6:,.0f} MB"
        sentences.append(f"{name_of(pipeline)} needs, beside API, PostgreSQL and Redis, {more}, idle.")
    ranked = _by(result, "recovery")
    if ranked:
        parts = ", ".join(f"{name_of(pipeline)} for {value:.2g} s" for value, pipeline in ranked)
        sentences.append(f"With its worker killed under load, a dashboard stood still: {parts}.")
    return sentences


def _exactness(result: Result) -> list[str]:
    wrong = [
        name
        for name, counts in result.audit.items()
        if any(counts[key] for key in ("lost", "duplicated", "drift"))
    ]
    if wrong:
        return [f"Orders were lost or counted twice by {', '.join(wrong)}: nothing else here matters then."]
    if not result.audit:
        return []
    orders = sum(counts["stored"] for counts in result.audit.values())
    return [f"Of {orders:,} orders, none was lost and none counted twice."]


def _crossings(result: Result) -> list[str]:
    sentences: list[str] = []
    if not curve(result, result.pipelines[0], "api"):
        return sentences
    for one, other in combinations(result.pipelines, 2):
        for kind, words in (("dashboard", "on the dashboard sooner"), ("api", "answered sooner")):
            found = crossing(curve(result, one, kind), curve(result, other, kind))
            if len(found) > 1:
                rates = f"between {found[0][0]:,.0f} and {found[-1][0]:,.0f} orders/s"
                sentences.append(f"{name_of(one)} and {name_of(other)} change places {rates} more than once.")
            elif found:
                rate, first = found[0]
                low, high = (one, other) if first else (other, one)
                below = f"Below {rate:,.0f} orders/s, {name_of(low)} has its orders {words} (p99)"
                sentences.append(f"{below}; above, {name_of(high)} does.")
    if not sentences and len(result.pipelines) > 1:
        sentences.append("Between the rates measured here, no two of them change places beyond noise, by p99.")
    return sentences


def curve(result: Result, pipeline: Pipeline, kind: str) -> Curve:
    """Return p99 in µs over the offered rate, from the loads alone and the search for the breakpoint."""
    points: dict[float, Figure] = {}
    for name, figure in result.figures:
        parts = name.split(".")
        if parts[0] != pipeline or parts[1] not in ("ladder", "alone") or parts[3:] != [kind, "p99"]:
            continue
        # At a rate that was measured both ways, the loads alone were repeated more often.
        if parts[1] == "alone" or float(parts[2]) not in points:
            points[float(parts[2])] = figure
    whenever = result.figures.get(f"{periodic(pipeline)}.p99")
    if kind == "dashboard" and whenever is not None:
        # Its interval makes it late, not the rate.
        points = dict.fromkeys(points, whenever)
    return sorted(points.items())


def crossing(one: Curve, other: Curve) -> list[tuple[float, bool]]:
    """Return where two curves cross, and whether the first is the lower one before it.

    Between two rates at which both were measured, both are taken for straight on logarithmic axes. Rates at which
    their repetitions overlap do not count.
    """
    figures = dict(other)
    clear = [
        (rate, math.log(figure.middle / figures[rate].middle))
        for rate, figure in one
        if rate in figures and _apart(figure, figures[rate])
    ]
    found = []
    for (rate, gap), (next_rate, next_gap) in pairwise(clear):
        if (gap < 0) != (next_gap < 0):
            share = gap / (gap - next_gap)
            found.append((math.exp(math.log(rate) + share * math.log(next_rate / rate)), gap < 0))
    return found


def _apart(one: Figure, other: Figure) -> bool:
    (low, high), (other_low, other_high) = reach(one), reach(other)
    return (high < other_low or other_high < low) and min(one.middle, other.middle) > 0


def reach(figure: Figure) -> tuple[float, float]:
    """Return from where to where a figure may lie: its repetitions, and a little more."""
    # Of what was measured once, nobody knows the noise.
    factor = _ONCE if len(figure.values) == 1 else _ALIKE**0.5
    return figure.low / factor, figure.high * factor
