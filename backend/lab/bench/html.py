"""The report as one HTML file, made of its JSON alone."""

from collections.abc import Collection, Iterable
from dataclasses import replace

from backend.lab.bench.claims import ROWS, spread
from backend.lab.bench.figures import Figure
from backend.lab.bench.harness import periodic
from backend.lab.bench.load_run import duration
from backend.lab.bench.plots import PICTURES, charts
from backend.lab.bench.report import headline, other_rows, pipeline_rows, show, target_rows
from backend.lab.bench.result import Result
from backend.lab.bench.verdict import curve, in_short, sentences
from backend.lab.page.page import Chart, Page, Section, Sentence, Table

RAW = "raw"
"""Id of the section with every repetition."""


def bench_page(result: Result) -> Page:
    """Return the page of a report."""
    drawn = pictures(result)
    shown = {chart.name for chart in drawn}
    short, found = (
        [replace(sentence, about=sentence.about if sentence.about in shown else "figures") for sentence in each]
        for each in (in_short(result), sentences(result))
    )
    command = f"coffee bench --{result.size} --pipelines {','.join(result.pipelines)}"
    rows = pipeline_rows(result)
    sections = [
        Section("verdict", "Verdict", found),
        Section("pictures", "Pictures", charts=drawn, command=command),
        Section(
            "claims",
            "Claimed and measured",
            tables=[Table("What is claimed, and what was measured", claim_rows(result))],
        ),
        Section(
            "targets",
            "Targets",
            [Sentence("What this project's own code is to reach on two cores with everything on one machine.")],
            tables=[Table("Targets beside what was measured", target_rows(result))],
        ),
        Section(
            "figures",
            "All figures",
            [Sentence("The median; ± is half the way from the lowest to the highest repetition.", RAW)],
            tables=[
                Table("Figures of the pipelines", rows),
                Table("Ceilings, and the whole stack", other_rows(result)),
            ],
            command=command,
        ),
        Section(RAW, "Raw numbers", tables=raw_tables(result)),
    ]
    if result.notes:
        sections.append(Section("notes", "Notes", [Sentence(note) for note in result.notes]))
    return Page("coffee bench", headline(result), short, sections)


def pictures(result: Result, asked_us: float | None = None, names: Collection[str] = PICTURES) -> list[Chart]:
    """Return the charts of a report, each with its numbers; ``asked_us`` is a bound of one's own."""
    numbers = {"latency": latency_rows, "rates": rate_rows, "flow": flow_rows, "cost": cost_rows}
    return [
        Chart(name, title, svg, Table(title, numbers[name](result)))
        for name, (title, svg) in charts(result, asked_us, names).items()
    ]


def raw_tables(result: Result) -> list[Table]:
    """Return every repetition of every figure, a table for each pipeline and one for all else."""
    of: dict[str, list[list[str]]] = {}
    for name, figure in sorted(result.figures):
        head = name.partition(".")[0]
        of.setdefault(head if head in result.pipelines else "", []).append([name, figure.unit, *_values(figure)])
    columns = ["figure", "unit", "median", "repetitions"]
    titles = {str(pipeline): f"{pipeline} {pipeline.info.title}" for pipeline in result.pipelines}
    return [
        Table(f"Raw numbers: {titles.get(name, 'ceilings, and the whole stack')}", [columns, *rows], is_raw=True)
        for name, rows in sorted(of.items(), reverse=True)
    ]


def _values(figure: Figure) -> list[str]:
    return [f"{figure.middle:.6g}", ", ".join(f"{value:.6g}" for value in figure.values)]


def claim_rows(result: Result) -> list[list[str]]:
    """Return what is claimed of each pipeline beside what was measured."""
    head = [f"{pipeline}: {what}" for pipeline in result.pipelines for what in ("claimed", "measured")]
    return [
        ["", *head],
        *(
            [
                row.aspect,
                *(cell for each in result.pipelines for cell in (row.claim_of(each), row.measured(result, each))),
            ]
            for row in ROWS
        ),
    ]


def _head(result: Result, first: str, kinds: Iterable[str] = ("",)) -> list[str]:
    return [first, *(f"{pipeline} {kind}".strip() for kind in kinds for pipeline in result.pipelines)]


def rate_rows(result: Result) -> list[list[str]]:
    """Return p99 over the offered rate, of answers and of the dashboard."""
    kinds = {"api": "answer, p99", "dashboard": "dashboard, p99"}
    curves = [dict(curve(result, pipeline, kind)) for kind in kinds for pipeline in result.pipelines]
    rates = sorted({rate for each in curves for rate in each})
    return [
        _head(result, "orders/s", kinds.values()),
        *(
            [f"{rate:,.0f}", *(duration(each[rate].middle) if rate in each else "–" for each in curves)]
            for rate in rates
        ),
    ]


def latency_rows(result: Result) -> list[list[str]]:
    """Return the percentiles of answers and dashboards at the rate of the picture."""
    rate = sorted(result.rates)[len(result.rates) // 2]
    kinds = {"api": "answer", "dashboard": "dashboard"}
    columns = []
    for kind in kinds:
        for pipeline in result.pipelines:
            points = result.distributions.get(f"{pipeline}.alone.{rate}.{kind}", [])
            if kind == "dashboard":
                points = result.distributions.get(periodic(pipeline), points)
            columns.append(dict(points))
    percentiles = sorted({percentile for column in columns for percentile in column})
    return [
        _head(result, "of 100 orders, not later", kinds.values()),
        *([f"{each:g}", *(duration(column.get(each)) for column in columns)] for each in percentiles),
    ]


def flow_rows(result: Result) -> list[list[str]]:
    """Return for how long each dashboard stood still once its worker was killed."""
    return [
        ["pipeline", "killed", "dashboard stood still", "requests failed"],
        *(
            [
                str(pipeline),
                result.flow[pipeline]["part"],
                spread(result, f"{pipeline}.recovery", lambda value: f"{value:.3g} s"),
                spread(result, f"{pipeline}.recovery.failed", lambda value: f"{value:,.0f}"),
            ]
            for pipeline in result.pipelines
            if pipeline in result.flow
        ),
    ]


def cost_rows(result: Result) -> list[list[str]]:
    """Return what a million orders cost."""
    names = {"cpu": "processor time", "disk": "kept on disk", "redis": "memory of Redis"}
    figures = {
        words: [result.figures.get(f"{pipeline}.cost.{name}") for pipeline in result.pipelines]
        for name, words in names.items()
    }
    return [
        _head(result, "of a million orders"),
        *([words, *("–" if each is None else show(each) for each in found)] for words, found in figures.items()),
    ]
