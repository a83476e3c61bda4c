"""The tables of a report as rows of text: targets, figures of the pipelines side by side, all other figures."""

from backend.lab.bench.figures import Figure
from backend.lab.bench.load_report import duration
from backend.lab.bench.result import Result
from backend.lab.bench.targets import targets
from coffee_core.pipelines import INFO

_PER_MILLION = " per million"
_GROUPS = (
    *("first", "own", "closed", "alone", "any", "together", "ladder", "breakpoint"),
    *("cost", "drain", "drain2", "recovery", "table"),
)
"""What the names begin with, in the order in which a reader asks for it."""
_BESIDE = {
    "v2.closed.1.p50": ("ceiling.xadd.p50", "bare XADD"),
    "v2.closed.32.rate": ("ceiling.xadd.rate", "bare XADD"),
    "v2.drain.rate": ("ceiling.insert.rate", "bare INSERT"),
    "v3.closed.1.p50": ("ceiling.kafka.p50", "bare Kafka"),
    "v3.closed.32.rate": ("ceiling.kafka.rate", "bare Kafka"),
    "v3.drain.rate": ("ceiling.consume.rate", "bare consume"),
}
"""Figures of the pipelines → the ceiling of their own server, and its name in words."""
Rows = list[list[str]]


def target_rows(result: Result) -> Rows:
    """Return what is to be reached beside what was measured."""
    rows = [[each.what, each.bound, each.measured, each.verdict] for each in targets(result)]
    return [["target", "bound", "measured", ""], *rows]


def pipeline_rows(result: Result) -> Rows:
    """Return the figures of the pipelines, a column each, with ratios to the ceilings."""
    names = {
        rest: None
        for name, _ in result.figures
        for head, _, rest in [name.partition(".")]
        if head in result.pipelines
    }
    rows = [["", *(f"{pipeline} {INFO[pipeline].title}" for pipeline in result.pipelines)]]
    for rest in sorted(names, key=_place):
        cells = [_cell(result, f"{pipeline}.{rest}") for pipeline in result.pipelines]
        rows.append([rest + (_PER_MILLION if rest.startswith("cost.") else ""), *cells])
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


def _cell(result: Result, name: str) -> str:
    figure = result.figures.get(name)
    if figure is None:
        return "–"
    rest = name.partition(".")[2]
    ratios = [(f"noop.{rest}", "no-op"), (f"starlette.{rest}", "Starlette")]
    ratios += [_BESIDE[name]] if name in _BESIDE else []
    found = [(result.figures.middle(ceiling), words) for ceiling, words in ratios]
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
