"""The report of a run: as text, and as a folder with Markdown, JSON and pictures."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

from backend.lab.bench.changes import Change
from backend.lab.bench.claims import ROWS, spread
from backend.lab.bench.figures import Better, Figure
from backend.lab.bench.load_run import duration
from backend.lab.bench.result import Result
from backend.lab.bench.targets import targets
from backend.lab.bench.verdict import verdict
from coffee_core.pipelines import LogKind, Pipeline

_PER_MILLION = " per million"
_GROUPS = (
    *("first", "own", "added", "closed", "alone", "any", "together", "ladder", "breakpoint"),
    *("cost", "drain", "drain2", "catch_up", "recovery", "table"),
)
"""What the names begin with, in the order in which a reader asks for it."""
_KAFKA = "bare Kafka (aiokafka)"
"""Whose ceiling it is: a client of librdkafka or of Java has another one."""
_STORE = ("ceiling.insert.rate", "bare INSERT")
_COMPOSED = ("closed.32.rate", "breakpoint")
"""Throughputs beside which the composed limit stands."""
_CEILINGS: dict[LogKind, dict[str, tuple[str, str]]] = {
    LogKind.STREAM: {
        "closed.1.p50": ("ceiling.xadd.p50", "bare XADD"),
        "closed.32.rate": ("ceiling.xadd.rate", "bare XADD"),
        "drain.rate": _STORE,
    },
    LogKind.TOPIC: {
        "closed.1.p50": ("ceiling.kafka.p50", _KAFKA),
        "closed.32.rate": ("ceiling.kafka.rate", _KAFKA),
        "drain.rate": ("ceiling.consume.rate", "bare consume (aiokafka)"),
    },
    LogKind.TABLE: {"closed.32.rate": _STORE, "drain.rate": _STORE},
}
"""Figures of pipelines with such a log → the ceiling of its server, and the name of that in words."""
_WIDTH = 110
_CAPTIONS = {
    "latency": "How late answers and dashboard are, as percentiles",
    "rates": "p99 over the offered rate",
    "flow": "Orders offered and visible while each pipeline's worker is killed",
    "cost": "What a million orders cost",
}
Rows = list[list[str]]


def target_rows(result: Result) -> Rows:
    """Return what is to be reached beside what was measured."""
    rows = [[target.what, target.bound, target.measured, target.verdict] for target in targets(result)]
    return [["target", "bound", "measured", ""], *rows]


def pipeline_rows(result: Result) -> Rows:
    """Return the figures of the pipelines, a column each, with ratios to the ceilings."""
    names = {
        rest: None
        for name, _ in result.figures
        for head, _, rest in [name.partition(".")]
        if head in result.pipelines
    }
    rows = [["", *(f"{pipeline} {pipeline.info.title}" for pipeline in result.pipelines)]]
    for rest in sorted(names, key=_place):
        cells = [_with_ratios(result, pipeline, rest) for pipeline in result.pipelines]
        rows.append([rest + (_PER_MILLION if rest.startswith("cost.") else ""), *cells])
    limits = [composed_limit(result, pipeline) for pipeline in result.pipelines]
    rows.append(["composed limit", *("–" if limit is None else f"{limit:,.0f}/s" for limit in limits)])
    return rows


def other_rows(result: Result) -> Rows:
    """Return the ceilings and the figures of the whole stack."""
    rows = [["ceilings, and the whole stack", ""]]
    for name, figure in result.figures:
        if name.partition(".")[0] not in result.pipelines:
            rows.append([name, show(figure)])
    return rows


def show(figure: Figure) -> str:
    """Return a figure with its unit, and half the way from its lowest to its highest repetition."""
    middle = _value(figure.middle, figure.unit)
    if len(figure.values) == 1 or not figure.middle or figure.low == figure.high:
        return middle
    return f"{middle} ±{(figure.high - figure.low) / 2 / abs(figure.middle):.0%}"


def _place(name: str) -> tuple[int, list[tuple[int, str]]]:
    group, *rest = name.split(".")
    place = _GROUPS.index(group) if group in _GROUPS else len(_GROUPS)
    # Rates by their number, not by their digits.
    return place, [(int(part) if part.isdigit() else 0, part) for part in rest]


def composed_limit(result: Result, pipeline: Pipeline) -> float | None:
    """Return the orders a second that no-op, log and store alone would allow one after the other: 1 ÷ Σ 1/ceiling.

    None where one of them was not measured. The ceilings are those of 32 clients, that of the store is by bulk.
    """
    log = pipeline.info.log
    names = ["noop.closed.32.rate", *([_CEILINGS[log.kind]["closed.32.rate"][0]] if log else []), _STORE[0]]
    rates = [result.figures.middle(name) for name in names]
    found = [rate for rate in rates if rate]
    return 1 / sum(1 / rate for rate in found) if len(found) == len(names) else None


def _with_ratios(result: Result, pipeline: Pipeline, rest: str) -> str:
    figure = result.figures.get(f"{pipeline}.{rest}")
    if figure is None:
        return "–"
    ratios = [(f"noop.{rest}", "no-op"), (f"starlette.{rest}", "Starlette")]
    ceilings = _CEILINGS[pipeline.info.log.kind] if pipeline.info.log else {}
    ratios += [ceilings[rest]] if rest in ceilings else []
    found = [(result.figures.middle(ceiling), words) for ceiling, words in ratios]
    if rest in _COMPOSED:
        found.append((composed_limit(result, pipeline), "composed limit"))
    return show(figure) + "".join(
        f" = {figure.middle / ceiling:.2f} × {words}" for ceiling, words in found if ceiling
    )


def _value(value: float, unit: str) -> str:
    if unit == "µs":
        return duration(value)
    if unit.startswith("bytes"):
        return f"{value / 1e6:,.0f} MB"
    number = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{number}{unit}" if unit == "/s" else f"{number} {unit.removesuffix(_PER_MILLION)}"


def write(result: Result, folder: Path, pictures: Sequence[str]) -> None:
    """Write report.md and report.json."""
    result.write(folder / "report.json")
    (folder / "report.md").write_text(as_markdown(result, pictures), encoding="utf-8")


def as_text(result: Result) -> str:
    """Return the comparison, the figures and the verdict for a terminal."""
    lines = [*textwrap.wrap(headline(result), _WIDTH), ""]
    for row in ROWS:
        lines.append(row.aspect)
        for pipeline in result.pipelines:
            measured = textwrap.wrap(row.measured(result, pipeline), _WIDTH - 32)
            lines.append(f"  {pipeline}  claimed {row.claim_of(pipeline):<22} {measured[0]}")
            lines += [f"{'':<34}{more}" for more in measured[1:]]
    for table in (target_rows(result), pipeline_rows(result), other_rows(result)):
        lines += ["", *_aligned(table)]
    lines.append("")
    for sentence in verdict(result):
        lines += textwrap.wrap(sentence, _WIDTH)
    return "\n".join([*lines, *(f"note: {note}" for note in result.notes)])


def as_markdown(result: Result, pictures: Sequence[str]) -> str:
    """Return the same for a file, with the pictures beside it."""
    names = [f"{pipeline} {pipeline.info.title}" for pipeline in result.pipelines]
    lines = ["# coffee bench", "", headline(result), "", "## Claimed and measured", ""]
    lines += _markdown_rows(["", *(f"{name}: {what}" for name in names for what in ("claimed", "measured"))])
    for row in ROWS:
        cells = [
            cell
            for pipeline in result.pipelines
            for cell in (row.claim_of(pipeline), row.measured(result, pipeline))
        ]
        lines.append(f"| {' | '.join([row.aspect, *cells])} |")
    lines += ["", "## Verdict", "", *(f"- {sentence}" for sentence in verdict(result)), "", "## Targets", ""]
    lines += ["For two cores and everything on one machine.", "", *_markdown_table(target_rows(result)), ""]
    for name in pictures:
        lines += [f"## {_CAPTIONS[name]}", "", f"![{_CAPTIONS[name]}]({name}.svg)", ""]
    lines += ["## All figures", "", "The median; ± is half the way from the lowest to the highest repetition.", ""]
    lines += [*_markdown_table(pipeline_rows(result)), "", *_markdown_table(other_rows(result)), ""]
    if result.notes:
        lines += ["## Notes", "", *(f"- {note}" for note in result.notes), ""]
    return "\n".join(lines)


def changes_as_text(changes: Sequence[Change], unlike: Sequence[str]) -> str:
    """Return what has changed between two runs."""
    lines = [f"note: {words}" for words in unlike]
    if not changes:
        return "\n".join([*lines, "nothing has changed beyond noise"])
    for change in changes:
        before, after = (
            show(Figure(change.unit, Better.LOWER, [value])) for value in (change.before, change.after)
        )
        word = "better" if change.better else "worse"
        lines.append(f"{word:<7} {change.share:>+7.0%}  {change.name}: {before} → {after}")
    return "\n".join(lines)


def headline(result: Result) -> str:
    """Return when, where and with what a report was taken, in sentences."""
    machine, durability = result.facts["machine"], result.facts["durability"]
    fsync = spread(result, "ceiling.fsync.p50", duration)
    whole = "" if result.complete else ", not complete"
    gigabytes = machine["memory_bytes"] / 1e9
    return (
        f"{result.at}, --{result.size}{whole}, {result.seconds:.0f} s; {machine['system']}, {machine['cores']}"
        f" cores and {gigabytes:.0f} GB, which clients, servers and workers share. synchronous_commit"
        f" {durability['synchronous_commit']}, appendfsync {durability['appendfsync']}, {durability['kafka']};"
        f" an fsync of this disk takes {fsync}. In brackets: the lowest and the highest repetition."
    )


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _markdown_rows(head: Sequence[str]) -> list[str]:
    return [f"| {' | '.join(head)} |", f"| {' | '.join('---' for _ in head)} |"]


def _markdown_table(rows: Sequence[Sequence[str]]) -> list[str]:
    head, *rest = rows
    return [*_markdown_rows(head), *(f"| {' | '.join(row)} |" for row in rest)]
