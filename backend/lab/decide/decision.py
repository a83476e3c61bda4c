"""The decision: a pure function of a question and a report. What is within the spread of repetitions stays open.

A pipeline is enough where, at the peak, it is early enough, keeps up, and keeps what must not be lost. Of those,
who wants the fewest servers that the team does not run yet comes first, then who costs least.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise
from typing import Any, NamedTuple

from backend.lab.bench.figures import Better, Figure
from backend.lab.bench.harness import MILLION, periodic
from backend.lab.bench.load_run import duration
from backend.lab.bench.result import Result
from backend.lab.bench.size import SIZES
from backend.lab.bench.steps_table import RUN_FIGURE, TABLE_PIPELINE
from backend.lab.bench.verdict import curve, name_of, reach
from backend.lab.decide.question import SERVERS, Loss, Question
from backend.lab.page.page import Sentence
from coffee_core.durability import FLUSH_MESSAGES
from coffee_core.pipelines import LogKind, Pipeline

ROUND_TRIP = "round_trip_ms"
"""Among the facts of a report: milliseconds between every two parts, where that was measured."""
_DAY_S = 86_400
HOURS = 730
"""Of a month."""
_FLUSHED = f"{FLUSH_MESSAGES}=1"
TITLES = {"postgres": "PostgreSQL", "redis": "Redis", "kafka": "Kafka", "flink": "Flink"}
_ROUND_TRIPS_MS = (0.0, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0)
_STRICT = "with COFFEE_DURABILITY=strict it takes nothing, but that was not measured here"
_GAP = 0.06
"""Closer than this share, two rates are one."""
_MEMORY_NOISE = 0.07
"""Share by which memory may be off; it is measured once, and repeats well."""


class Fit(StrEnum):
    """Whether a pipeline is enough."""

    YES = "enough"
    NO = "not enough"
    OPEN = "too close to call"


@dataclass(frozen=True, slots=True)
class Range:
    """A value with its reach."""

    low: float
    middle: float
    high: float

    def plus(self, more: float) -> "Range":
        """Return it moved by so much."""
        return Range(self.low + more, self.middle + more, self.high + more)

    def overlaps(self, other: "Range") -> bool:
        """Tell whether the reaches have a value in common."""
        return self.low <= other.high and other.low <= self.high


@dataclass(frozen=True, slots=True)
class Reading:
    """What a report has of a pipeline that a decision rests on."""

    pipeline: Pipeline
    late_us: tuple[tuple[float, Range], ...]
    """p99 of its dashboard over the offered rate, in µs, as it was measured."""
    breakpoint_per_s: float | None
    """The highest rate that it was seen to keep up with."""
    cpu_s: Mapping[float, Range]
    """Processor seconds of a million orders, by the rate at which they were measured."""
    memory_bytes: float | None
    """Of its own parts, idle."""
    keeps_at_power_cut: bool
    round_trip_ms: float
    """Milliseconds between its parts while it was measured."""
    run_us: float | None = None
    """What a row of its table adds to each run that adds them all up, in µs; None where that was not measured."""
    interval_s: float = 0.0
    """Seconds from one such run to the next."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A pipeline, held against the question."""

    pipeline: Pipeline
    fit: Fit
    why: str
    """Why it is not enough, or why that is open; empty where it is."""
    about: str
    """Where the figures of that stand on the page."""
    late_us: Range | None
    """p99 of its dashboard at the peak; None where it was not measured."""
    capacity: tuple[float, float | None]
    """Orders a second that it surely takes as asked, and from which it surely does not; None: no such was met."""
    month: Range | None
    """What it costs a month on ordinary days, in the currency of the prices."""
    vcpus: tuple[float, float] | None
    """Processors in use on an ordinary day, and at the peak."""
    memory_bytes: float | None
    """Of its own parts, idle."""
    new_servers: tuple[str, ...]
    """Those that it stands on and that the team does not run."""

    @property
    def rank(self) -> tuple[int, float]:
        """Order of preference among those that are enough."""
        return len(self.new_servers), math.inf if self.month is None else self.month.middle


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows."""

    question: Question
    candidates: tuple[Candidate, ...]
    pick: Pipeline | None
    """None where it is too close to call, or where none is enough."""
    close: tuple[Pipeline, ...]
    """Those between which it is too close to call, in the order of preference."""
    sentences: tuple[Sentence, ...]
    """The pick, why not the others, and where it flips."""

    @property
    def settled(self) -> bool:
        """Whether it is not too close to call."""
        return not self.close

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values; latencies in µs, memory in bytes."""
        return {
            "pick": self.pick,
            "too_close_to_call": list(self.close),
            "sentences": [sentence.text for sentence in self.sentences],
            "candidates": [
                {
                    "pipeline": each.pipeline,
                    "fit": each.fit,
                    "why": each.why,
                    "late_us": None if each.late_us is None else _range_json(each.late_us),
                    "takes_per_s": each.capacity[0],
                    "too_many_per_s": each.capacity[1],
                    "month": None if each.month is None else _range_json(each.month),
                    "vcpus": None if each.vcpus is None else {"now": each.vcpus[0], "peak": each.vcpus[1]},
                    "memory_bytes": each.memory_bytes,
                    "new_servers": list(each.new_servers),
                }
                for each in self.candidates
            ],
        }


def _range_json(of: Range) -> dict[str, float]:
    return {"low": of.low, "middle": of.middle, "high": of.high}


class Outcome(NamedTuple):
    """What a question comes to."""

    pick: Pipeline | None
    """None where it is too close to call, or where none is enough."""
    close: tuple[Pipeline, ...]
    """Those between which it is open, in the order of preference."""
    sure: Pipeline | None
    """Of those that are surely enough, the one that is preferred."""


def decide(question: Question, result: Result) -> Decision:
    """Return what follows of a report for a question."""
    readings = tuple(read(result, pipeline) for pipeline in result.pipelines)
    candidates = tuple(_candidate(question, reading) for reading in readings)
    outcome = _chosen(candidates)
    pick, close, _ = outcome
    sentences = [_first(question, candidates, pick, close)]
    first = pick or next(iter(close), None)
    sentences += [
        _why_not(each, candidates, first)
        for each in candidates
        if each.fit is not Fit.YES or each.pipeline not in (pick, *close)
    ]
    sentences += _growth(question, readings, outcome)
    sentences += _flips(question, readings, outcome)
    return Decision(question, candidates, pick, close, tuple(sentences))


def _chosen(candidates: Sequence[Candidate]) -> Outcome:
    """Return the pick, or those between which it is open."""
    ranked = sorted((each for each in candidates if each.fit is not Fit.NO), key=lambda each: each.rank)
    sure = next((each for each in ranked if each.fit is Fit.YES), None)
    if sure is None:
        return Outcome(None, tuple(each.pipeline for each in ranked), None)
    # Whoever would come first if only it were enough, and whoever is enough at a cost that is alike.
    close = [
        each.pipeline
        for each in ranked
        if (each.fit is Fit.OPEN and each.rank < sure.rank) or (each.fit is Fit.YES and _alike(each, sure))
    ]
    return (
        Outcome(None, tuple(close), sure.pipeline) if len(close) > 1 else Outcome(sure.pipeline, (), sure.pipeline)
    )


def _alike(one: Candidate, other: Candidate) -> bool:
    if len(one.new_servers) != len(other.new_servers):
        return False
    if one.month is None or other.month is None:
        return True
    return one.month.overlaps(other.month)


# What a report has of one pipeline.


def read(result: Result, pipeline: Pipeline) -> Reading:
    """Return what a report has of a pipeline."""
    return Reading(
        pipeline,
        tuple(_late_us(result, pipeline)),
        result.figures.middle(f"{pipeline}.breakpoint"),
        _cpu_s(result, pipeline),
        result.figures.middle(f"{pipeline}.own.memory"),
        keeps_at_power_cut(pipeline, result),
        measured_round_trip_ms(result),
        *_run_us(result, pipeline),
    )


def _run_us(result: Result, pipeline: Pipeline) -> tuple[float | None, float]:
    run_s = result.figures.middle(RUN_FIGURE) if pipeline == TABLE_PIPELINE else None
    per_row_us = None if run_s is None else run_s * 1e6 / SIZES[result.size].table_rows
    return per_row_us, float(result.facts["aggregator_interval_s"])


def _late_us(result: Result, pipeline: Pipeline) -> list[tuple[float, Range]]:
    if result.figures.get(f"{periodic(pipeline)}.p99") is None:
        return [(rate, _range(figure)) for rate, figure in curve(result, pipeline, "dashboard")]
    # Its interval makes it late, at whatever rate it answers: every load is a repetition of that.
    loads = [f"{pipeline}.alone.{rate}.dashboard.p99" for rate in result.rates]
    values = [value for name in loads if (found := result.figures.get(name)) for value in found.values]
    whenever = _range(Figure("µs", Better.LOWER, values))
    return [(rate, whenever) for rate, _ in curve(result, pipeline, "api")]


def _range(figure: Figure) -> Range:
    low, high = reach(figure)
    return Range(low, figure.middle, high)


def _cpu_s(result: Result, pipeline: Pipeline) -> dict[float, Range]:
    alone = {rate: result.figures.get(f"{pipeline}.alone.{rate}.cpu") for rate in result.rates}
    found = {float(rate): _range(figure) for rate, figure in alone.items() if figure is not None}
    at_most = result.figures.get(f"{pipeline}.cost.cpu")
    return found or ({} if at_most is None else {float(max(result.rates)): _range(at_most)})


# One pipeline, held against the question.


def _candidate(question: Question, reading: Reading) -> Candidate:
    late_us = lateness(question, reading, question.peak_per_s)
    fit, why, about = _judge(question, reading, late_us)
    servers = reading.pipeline.info.servers
    return Candidate(
        reading.pipeline,
        fit,
        why,
        about,
        late_us,
        capacity(question, reading),
        _month(question, reading),
        _vcpus(question, reading),
        reading.memory_bytes,
        tuple(name for name in SERVERS if name in servers and name not in question.runs),
    )


def _judge(question: Question, reading: Reading, late_us: Range | None) -> tuple[Fit, str, str]:
    """Return whether it is enough, why not, and where the figures of that are."""
    rate = f"{question.peak_per_s:,} orders/s"
    if question.loss is Loss.NOTHING and not reading.keeps_at_power_cut:
        return (
            Fit.NO,
            f"as measured, its answer waits for no disk, and a power cut takes the last seconds; {_STRICT}",
            "faults",
        )
    if late_us is None:
        return Fit.OPEN, f"what it does at {rate} was not measured", "missing"
    bound_us = question.late_ms * 1e3
    bound = duration(bound_us)
    shown = f"at {rate} 99 of 100 orders are on its dashboard after"
    if late_us.low > bound_us:
        return Fit.NO, f"{shown} {duration(late_us.middle)}{_by_clock(reading)}; asked: {bound}", "late"
    broke = reading.breakpoint_per_s
    if broke == 0:
        return (
            Fit.OPEN,
            "it was not seen to keep up with any of the rates that were tried",
            "late",
        )
    if broke is None:
        return Fit.OPEN, f"whether it keeps up with {rate} was not measured", "missing"
    if question.peak_per_s > broke:
        too_many = capacity(question, reading)[1]
        if too_many is not None and question.peak_per_s >= too_many:
            return Fit.NO, f"{rate} are more than it keeps up with: {broke:,.0f} orders/s", "late"
        return Fit.OPEN, f"it was seen to keep up with {broke:,.0f} orders/s and no more", "late"
    if late_us.high > bound_us:
        reached = f"{duration(late_us.low)} to {duration(late_us.high)}"
        return Fit.OPEN, f"{shown} {reached}, and {bound} is the bound", "late"
    return Fit.YES, "", "late"


def _by_clock(reading: Reading) -> str:
    return ", as it adds up at intervals" if any(stage.periodic for stage in reading.pipeline.info.chain) else ""


def measured_round_trip_ms(result: Result) -> float:
    """Return how many milliseconds there and back the parts of a report were apart."""
    return float(result.facts.get(ROUND_TRIP, 0.0))


def keeps_at_power_cut(pipeline: Pipeline, result: Result) -> bool:
    """Tell whether its answer meant, as it was measured, that a disk has the order."""
    policy, log = result.facts["durability"], pipeline.info.log
    if pipeline.info.commits_in_request or log is None or log.kind is LogKind.TABLE:
        return bool(policy["synchronous_commit"] == "on" and policy["fsync"] == "on")
    if log.kind is LogKind.STREAM:
        return bool(policy["appendonly"] == "yes" and policy["appendfsync"] == "always")
    return _FLUSHED in policy["kafka"].replace(" ", "").split(",")


def _points(question: Question, reading: Reading) -> list[tuple[float, Range]]:
    """Return how late its dashboard is over the rate, in µs, with what a network adds that was not measured."""
    more_us = reading.pipeline.info.round_trips * (question.round_trip_ms - reading.round_trip_ms) * 1e3
    return [(rate, late_us.plus(more_us)) for rate, late_us in reading.late_us]


def lateness(question: Question, reading: Reading, rate: float) -> Range | None:
    """Return p99 of a dashboard at a rate, in µs: between two that were measured, straight on logarithmic axes.

    Below the lowest it is as late as there; above the highest too where it was too late there, else None.
    """
    points = _points(question, reading)
    if not points or rate > points[-1][0]:
        return points[-1][1] if points and points[-1][1].low > question.late_ms * 1e3 else None
    if rate <= points[0][0]:
        return points[0][1]
    return _on_the_way(points, rate)


def _on_the_way(points: Sequence[tuple[float, Range]], rate: float) -> Range | None:
    """Return what lies at a rate between two points, straight on logarithmic axes; None between none."""
    for (low, before), (high, after) in pairwise(points):
        if low <= rate <= high:
            share = math.log(rate / low) / math.log(high / low)
            return Range(*(_between(getattr(before, end), getattr(after, end), share) for end in Range.__slots__))
    return None


def _between(one: float, other: float, share: float) -> float:
    return math.exp(math.log(one) + share * math.log(other / one)) if one > 0 and other > 0 else other


def capacity(question: Question, reading: Reading) -> tuple[float, float | None]:
    """Return up to which rate it is surely as early as asked, and from which on it is not; None: none met."""
    bound_us, broke = question.late_ms * 1e3, reading.breakpoint_per_s
    takes = 0.0
    for rate, late_us in _points(question, reading):
        if late_us.low > bound_us:
            return takes, rate
        if late_us.high <= bound_us and broke is not None and rate <= broke:
            takes = rate
    return takes, None


def _cpu_at(reading: Reading, rate: float) -> Range | None:
    """Return the processor seconds of a million orders at a rate: between two as lateness, above the highest None.

    Below the lowest they may take as much an order as there, up to as much an hour.
    """
    points = sorted(reading.cpu_s.items())
    if not points or rate > points[-1][0]:
        return None
    lowest, there = points[0]
    if rate <= lowest:
        more = lowest / rate
        return Range(there.low, there.middle * math.sqrt(more), there.high * more)
    return _on_the_way(points, rate)


def _month(question: Question, reading: Reading) -> Range | None:
    used, memory = _cpu_at(reading, question.now_per_s), reading.memory_bytes
    if used is None or memory is None:
        return None
    scale = question.now_per_s / MILLION * HOURS * question.vcpu_hour
    held = memory / 1e9 * HOURS * question.gb_hour
    noise = _MEMORY_NOISE * held
    return Range(used.low * scale + held - noise, used.middle * scale + held, used.high * scale + held + noise)


def _vcpus(question: Question, reading: Reading) -> tuple[float, float] | None:
    now, peak = (_cpu_at(reading, rate) for rate in (question.now_per_s, question.peak_per_s))
    if now is None or peak is None:
        return None
    return now.middle * question.now_per_s / MILLION, peak.middle * question.peak_per_s / MILLION


# What is said of it.


def money(value: float) -> str:
    """Return a price of a month in as many places as it deserves."""
    return f"{value:,.0f}" if value >= 100 else f"{value:,.2f}"


def _first(
    question: Question, candidates: Sequence[Candidate], pick: Pipeline | None, close: tuple[Pipeline, ...]
) -> Sentence:
    bound = duration(question.late_ms * 1e3)
    where = f"at {question.peak_per_s:,} orders/s within {bound}"
    of = {each.pipeline: each for each in candidates}
    if pick is not None:
        chosen, others = of[pick], [each for each in candidates if each.fit is Fit.YES and each.pipeline != pick]
        assert chosen.late_us is not None, "what is enough was measured"
        alone = "surely " * any(each.fit is Fit.OPEN for each in candidates)
        why = f"no other is {alone}enough, as measured"
        if others:
            more = [len(each.new_servers) > len(chosen.new_servers) for each in others]
            least = "it needs the fewest servers that you do not run" if all(more) else "it costs least"
            those = "enough and need the fewest servers that you do not run" if any(more) else "enough"
            why = f"of those that are {'enough' if all(more) else those} {least}"
        as_all = ", as all do" * all(set(chosen.new_servers) <= set(each.new_servers) for each in candidates)
        after = f" It {_needs(chosen)}{as_all}." if chosen.new_servers else ""
        if chosen.month is not None:
            after += f" Its processor time and memory cost {money(chosen.month.middle)} a month."
        shown = f"99 of 100 orders are on its dashboard within {duration(chosen.late_us.middle)}"
        at_most = f"it may be {duration(chosen.late_us.high)}; {bound} were asked"
        peak = f"at {question.peak_per_s:,} orders/s {shown} ({at_most})"
        return Sentence(f"Take {name_of(pick)}: {peak}; {why}.{after}", "late")
    if not close:
        return Sentence(f"Take none of them as they are: on this machine none is enough {where}.", "late")
    names = " or ".join(map(name_of, close))
    sure = [each for each in close if of[each].fit is Fit.YES]
    if not sure:
        which = f"whether {names}" if len(close) == 1 else f"which of {', '.join(map(name_of, close))}"
        return Sentence(f"Too close to call {which} is enough {where}.", "late")
    if len(sure) == len(close):
        alike = "what they cost differs by less than repetitions do"
        return Sentence(f"Too close to call: {names}. Each is enough {where}, and {alike}.", "month")
    enough = " and ".join(map(name_of, sure))
    return Sentence(f"Too close to call: {names}. Surely enough {where} is {enough}; the rest is open.", "late")


def _needs(candidate: Candidate) -> str:
    return f"needs {' and '.join(TITLES[each] for each in candidate.new_servers)}, which you do not run"


def _why_not(candidate: Candidate, candidates: Sequence[Candidate], first: Pipeline | None) -> Sentence:
    name = name_of(candidate.pipeline)
    if candidate.fit is not Fit.YES:
        begins = f"Not {name}" if candidate.fit is Fit.NO else f"Whether {name} is enough is open"
        return Sentence(f"{begins}: {candidate.why}.", candidate.about)
    chosen = next((each for each in candidates if each.pipeline == first), None)
    reasons = []
    if chosen is not None and len(candidate.new_servers) > len(chosen.new_servers):
        reasons.append(f"it {_needs(candidate)}")
    if candidate.month is not None and chosen is not None and chosen.month is not None:
        costs = f"costs {money(candidate.month.middle)} a month against {money(chosen.month.middle)}"
        reasons.append(costs if reasons else f"it {costs}")
    return Sentence(f"Not {name}: it is enough, but {', and '.join(reasons) or 'another comes first'}.", "month")


def _growth(question: Question, readings: Sequence[Reading], outcome: Outcome) -> Iterator[Sentence]:
    """Return how long a pipeline that reads its whole table at each run stays what it is."""
    for reading in readings:
        if reading.pipeline not in (outcome.pick, *outcome.close) or not reading.pipeline.info.shown_in_runs:
            continue
        name = name_of(reading.pipeline)
        late_us = lateness(question, reading, question.peak_per_s)
        if reading.run_us is None or late_us is None:
            words = "it adds up its whole table at every run, and was measured with a small one"
            yield Sentence(f"How long {name} stays so is not known: {words}.", "missing")
            continue
        bound_us = question.late_ms * 1e3
        rows = max(0.0, bound_us - late_us.high) / reading.run_us
        days = rows / (question.now_per_s * _DAY_S)
        share = min(1.0, rows * reading.run_us / 1e6 / reading.interval_s)
        yield Sentence(
            f"{name} adds up its whole table at every run, {reading.run_us:.2g} s a million rows here: with all"
            f" orders kept, {question.now_per_s:,} a second, it is later than {duration(bound_us)} after"
            f" {_days(days)}, and takes {share:.0%} of a processor for that by then.",
            "late",
        )


def _days(days: float) -> str:
    return f"{days * 24:.2g} hours" if days < 2 else f"{_rounded(days):,.0f} days"


# Where it flips.


def _outcome(question: Question, readings: Sequence[Reading]) -> Outcome:
    return _chosen([_candidate(question, reading) for reading in readings])


def _advice(outcome: Outcome) -> str:
    if outcome.pick is not None:
        return f"take {name_of(outcome.pick)}"
    if not outcome.close:
        return "none of them is enough"
    if outcome.sure is None:
        return f"{' and '.join(map(name_of, outcome.close))} may be enough or not: repetitions disagree"
    others = " or ".join(name_of(each) for each in outcome.close if each != outcome.sure)
    return f"repetitions disagree: {name_of(outcome.sure)} is enough, and {others} may be the better choice"


def _flips(question: Question, readings: Sequence[Reading], outcome: Outcome) -> list[Sentence]:
    """Return, with one answer changed at a time, the nearest at which the outcome is another."""
    return [
        *_rate_flips(question, readings, outcome),
        *_late_flips(question, readings, outcome),
        *_other_flips(question, readings, outcome),
    ]


def _rate_flips(question: Question, readings: Sequence[Reading], outcome: Outcome) -> Iterator[Sentence]:
    rates = sorted({rate for each in readings for rate, _ in each.late_us})
    higher = [rate for rate in rates if rate > question.peak_per_s]
    if above := _rate_flip(question, readings, outcome, higher, "Up to {}", "above", "from {} on"):
        yield above
    elif higher:
        yield Sentence(
            f"This answer holds up to {higher[-1]:,.0f} orders/s at the peak, the highest rate measured.", "late"
        )
    else:
        yield Sentence(
            "Up to which rate this answer holds is not known: higher ones were not measured.", "missing"
        )
    lower = [rate for rate in reversed(rates) if rate < question.peak_per_s]
    if below := _rate_flip(question, readings, outcome, lower, "Down to {}", "below", "below {}"):
        yield below


def _rate_flip(
    question: Question, readings: Sequence[Reading], outcome: Outcome, rates: list[float], *words: str
) -> Sentence | None:
    """Return where the outcome is another, on the way through these rates; None where it stays the same.

    ``words`` are those for the last rate at which it is the same, for beyond it, and for the first of the other.
    """

    def at(rate: float) -> Outcome:
        now = min(question.now_per_s, int(rate))
        return _outcome(replace(question, peak_per_s=int(rate), now_per_s=now), readings)

    last = float(question.peak_per_s)
    for rate in rates:
        other = at(rate)
        # From what is open nothing is said but where it is no more.
        if other != outcome and not (outcome.close and other.close):
            same = _last(last, rate, at, outcome)
            differs = _last(rate, same, at, other)
            until, beyond, onwards = words
            begins = f"{until.format(f'{same:,.0f}')} orders/s at the peak this answer holds; {beyond},"
            if other.close or abs(math.log(differs / same)) <= _GAP:
                return Sentence(f"{begins} {_advice(other)}.", "late")
            ends = onwards.format(f"{differs:,.0f}")
            return Sentence(f"{begins} repetitions disagree; {ends}, {_advice(other)}.", "late")
        last = rate
    return None


def _last(holds: float, fails: float, at: Callable[[float], Outcome], outcome: Outcome) -> float:
    """Return the last rate from ``holds`` towards ``fails``, to 2 %, of which an outcome holds."""
    while abs(fails / holds - 1) > 0.02:
        middle = math.sqrt(holds * fails)
        holds, fails = (middle, fails) if at(middle) == outcome else (holds, middle)
    return _rounded(holds)


def _rounded(value: float) -> float:
    places = 1 - math.floor(math.log10(value))
    return round(value, places)


def _late_flips(question: Question, readings: Sequence[Reading], outcome: Outcome) -> Iterator[Sentence]:
    known = [
        late for reading in readings if (late := lateness(question, reading, question.peak_per_s)) is not None
    ]
    bounds = sorted({end / 1e3 for late in known for end in (late.low, late.high)})

    def within(late_ms: float) -> Outcome:
        return _outcome(replace(question, late_ms=late_ms), readings)

    for bound_ms in (each for each in bounds if each >= question.late_ms):
        if (other := within(bound_ms * 1.001)) != outcome and not other.close:
            yield Sentence(f"If the dashboard may be {duration(bound_ms * 1e3)} late, {_advice(other)}.", "late")
            break
    differs = [
        (bound_ms, other)
        for bound_ms in reversed(bounds)
        if bound_ms <= question.late_ms
        and (other := within(bound_ms * 0.999)) != outcome
        and not (outcome.close and other.close)
    ]
    if differs:
        bound_ms, other = differs[0]
        words = f"If it must be less than {duration(bound_ms * 1e3)} late, {_advice(other)}"
        if other.close and (settled := next(((at, then) for at, then in differs if not then.close), None)):
            at_ms, then = settled
            words += f"; less than {duration(at_ms * 1e3)}: {_advice(then)}"
        yield Sentence(f"{words}.", "late")


def _trips(readings: Sequence[Reading], outcome: Outcome) -> str:
    pick, close, _ = outcome
    found = [each.pipeline for each in readings if each.pipeline in (pick, *close)] or [
        each.pipeline for each in readings
    ]
    return ", ".join(f"{each.info.round_trips:g} round trips in {each}" for each in found)


def _other_flips(question: Question, readings: Sequence[Reading], outcome: Outcome) -> Iterator[Sentence]:
    for trip_ms in (each for each in _ROUND_TRIPS_MS if each > question.round_trip_ms):
        if (other := _outcome(replace(question, round_trip_ms=trip_ms), readings)) != outcome:
            computed = f"computed: until it is shown, an order waits for {_trips(readings, outcome)}"
            yield Sentence(
                f"With {trip_ms:g} ms to another machine and back, {_advice(other)} ({computed}).", "network"
            )
            break
    else:
        if question.round_trip_ms < _ROUND_TRIPS_MS[-1]:
            yield Sentence(
                f"Machines up to {_ROUND_TRIPS_MS[-1]:g} ms apart, there and back, change nothing (computed).",
                "network",
            )
    loss, words = (
        (Loss.SECONDS, "If a power cut may take the last seconds")
        if question.loss is Loss.NOTHING
        else (Loss.NOTHING, "If a power cut may take nothing")
    )
    if (other := _outcome(replace(question, loss=loss), readings)) != outcome:
        yield Sentence(f"{words}, {_advice(other)}.", "faults")
    if (other := _outcome(replace(question, runs=frozenset(SERVERS)), readings)) != outcome:
        yield Sentence(f"If you run Kafka and Flink already, {_advice(other)}.", "month")
