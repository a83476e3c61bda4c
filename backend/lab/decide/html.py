"""The decision as one HTML file: the pick, why not the others, where it flips; below, what it rests on."""

from collections.abc import Callable

import matplotlib as mpl
from matplotlib.figure import Figure

from backend.lab.bench.html import flow_rows, pictures, raw_tables
from backend.lab.bench.load_run import duration
from backend.lab.bench.report import headline
from backend.lab.bench.result import Result
from backend.lab.bench.verdict import name_of
from backend.lab.decide.decision import HOURS, TITLES, Decision, Range, measured_round_trip_ms, money
from backend.lab.decide.recorded import CUTS
from backend.lab.page.page import Chart, Page, Section, Sentence, Table
from backend.lab.page.svg import INK, NARROW, PAGE_STYLE, STYLE, colour_of, themed_svg
from coffee_core.pipelines import PIPELINES

Cell = str | Sentence
_CUT_HEAD = ("durability", "pipelines", "cuts", "lost of what was acknowledged")
_LATE_HEAD = (
    "",
    "p99 of the dashboard",
    "it may lie at",
    "verdict",
    "as asked up to",
    "too late at",
    "kept up with",
)
_MONTH_HEAD = (
    "",
    "a month",
    "it may lie at",
    "vCPUs now",
    "vCPUs at the peak",
    "own memory",
    "servers you do not run",
)


def decide_page(decision: Decision, result: Result, source: str) -> Page:
    """Return the page of a decision; ``source`` says where its report comes from."""
    question = decision.question
    command = f"{question.words()} --pipelines {','.join(result.pipelines)}"
    drawn = {chart.name: chart for chart in pictures(result, question.late_ms * 1e3, ("latency", "rates", "flow"))}
    sections = [
        Section(
            "late",
            "How late, and up to where",
            [Sentence("A value may lie as far as its repetitions do, and a little further.", "raw")],
            [drawn[name] for name in ("rates", "latency") if name in drawn],
            [Table(f"Each pipeline at {question.peak_per_s:,} orders/s", _late_rows(decision, result))],
            command,
        ),
        Section(
            "month",
            "What it takes, and what a month costs",
            [Sentence(_month_words(decision), "raw")],
            _month_charts(decision),
            [Table("Demand and cost", _month_rows(decision, result))],
            command,
        ),
        Section(
            "faults",
            "What a kill and a power cut did",
            _fault_words(result),
            [drawn["flow"]] if "flow" in drawn else [],
            [
                *([Table("Its worker killed, under load", flow_rows(result))] if result.flow else []),
                Table("Power cuts, as recorded where coffee-rt was made", [_CUT_HEAD, *CUTS]),
            ],
            "coffee chaos power-cut --durability default --pipeline v1,v2",
        ),
        Section("network", "Between machines", _network_words(decision, result)),
        Section("missing", "What was not measured", [Sentence(words) for words in _missing(decision, result)]),
        Section("raw", "Raw numbers", tables=raw_tables(result), command=command),
    ]
    ways = "; ".join(
        f"{name_of(pipeline)}: {' → '.join(stage.label for stage in pipeline.info.chain)}"
        for pipeline in result.pipelines
    )
    about = f"{question.sentence()} The way of an order in {ways}. {source} {headline(result)}"
    return Page("Which pipeline? coffee decide", about, decision.sentences, sections)


def _range(of: Range | None, show: Callable[[float], str]) -> tuple[str, str]:
    return ("–", "–") if of is None else (show(of.middle), f"{show(of.low)} to {show(of.high)}")


def _linked(result: Result, name: str, show: Callable[[float], str]) -> Cell:
    """Return a figure that leads to its repetitions."""
    value = result.figures.middle(name)
    return "–" if value is None else Sentence(show(value), name)


def _per_s(value: float) -> str:
    return f"{value:,.0f}/s"


def _late_rows(decision: Decision, result: Result) -> list[list[Cell]]:
    rows: list[list[Cell]] = [list(_LATE_HEAD)]
    for each in decision.candidates:
        takes, too_many = each.capacity
        cells = [
            *_range(each.late_us, duration),
            each.fit.value,
            _per_s(takes) if takes else "none of those measured",
            "none of those measured" if too_many is None else _per_s(too_many),
        ]
        rows.append([name_of(each.pipeline), *cells, _linked(result, f"{each.pipeline}.breakpoint", _per_s)])
    return rows


def _month_words(decision: Decision) -> str:
    question = decision.question
    return (
        f"A month is {HOURS} hours of an ordinary day's {question.now_per_s:,} orders/s: the processor time of all"
        " parts that work on an order, and the memory of the pipeline's own parts, at the prices given. API,"
        " PostgreSQL and Redis hold memory for each of them alike; disks, network and people are not in it."
    )


def _month_rows(decision: Decision, result: Result) -> list[list[Cell]]:
    rows: list[list[Cell]] = [list(_MONTH_HEAD)]
    for each in decision.candidates:
        vcpus = ("–", "–") if each.vcpus is None else tuple(f"{value:.2g}" for value in each.vcpus)
        memory = _linked(result, f"{each.pipeline}.own.memory", lambda value: f"{value / 1e6:,.0f} MB")
        servers = ", ".join(TITLES[name] for name in each.new_servers) or "none"
        rows.append([name_of(each.pipeline), *_range(each.month, money), *vcpus, memory, servers])
    return rows


def _month_charts(decision: Decision) -> list[Chart]:
    priced = [(each.pipeline, each.month) for each in decision.candidates if each.month is not None]
    if not priced:
        return []
    title = f"What a month costs at {decision.question.now_per_s:,} orders/s"
    with mpl.rc_context(STYLE | PAGE_STYLE):
        figure = Figure(figsize=NARROW, layout="constrained")
        axes = figure.subplots()
        for place, (pipeline, month) in enumerate(priced):
            reach = [[month.middle - month.low], [month.high - month.middle]]
            axes.bar(place, month.middle, color=colour_of(pipeline), width=0.6, yerr=reach, ecolor=INK, capsize=4)
            where = (place, month.high)
            axes.annotate(money(month.middle), where, (0, 4), textcoords="offset points", ha="center", color=INK)
        axes.set_xticks(range(len(priced)), [str(pipeline) for pipeline, _ in priced])
        axes.grid(visible=False, axis="x")
        axes.margins(y=0.15)
        svg = themed_svg(figure, "cost-a-month")
    rows = [
        ["", "a month", "it may lie at"],
        *([str(pipeline), *_range(month, money)] for pipeline, month in priced),
    ]
    return [Chart("cost-a-month", title, svg, Table(title, rows))]


def _fault_words(result: Result) -> list[Sentence]:
    if result.flow:
        killed = "Kills were measured here, each pipeline's own worker once under load."
    else:
        killed = "What a kill does was not measured here: coffee chaos does."
    cuts = "Power cuts were not: the table is what they took where coffee-rt was made (docs/guarantees.md)."
    return [Sentence(killed), Sentence(cuts)]


def _network_words(decision: Decision, result: Result) -> list[Sentence]:
    measured_ms, asked_ms = measured_round_trip_ms(result), decision.question.round_trip_ms
    where = "with all parts on one machine"
    if measured_ms:
        where = f"with {measured_ms:g} ms there and back between every two parts (docs/network.md)"
    computed = "what another distance adds" if measured_ms == asked_ms else f"what {asked_ms:g} ms add"
    words = (
        f"Measured {where}; {computed} is computed: the round trips that an order waits for at worst, counted in"
        " the code, times what one takes more. What that takes of the capacity is not known."
    )
    trips = [
        f"{name_of(each.pipeline)}: {each.pipeline.info.round_trips:g} round trips."
        for each in decision.candidates
    ]
    return [Sentence(each) for each in (words, *trips)]


def _missing(decision: Decision, result: Result) -> list[str]:
    measured = {each.pipeline for each in decision.candidates}
    left_out = [f"{name_of(each)} was not measured." for each in PIPELINES if each not in measured]
    unknown = [
        f"{name_of(each.pipeline)} at {decision.question.peak_per_s:,} orders/s."
        for each in decision.candidates
        if each.late_us is None
    ]
    return [
        *left_out,
        *unknown,
        "More than one machine, and more than one process of a kind: docs/scaling.md has the arithmetic.",
        "Hours of load: each rate was held for seconds.",
        "A power cut of this machine: coffee chaos power-cut.",
        "COFFEE_DURABILITY=relaxed: coffee bench --durability.",
        *result.notes,
    ]
