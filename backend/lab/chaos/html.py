"""The verdicts of `coffee chaos` as one HTML file, made of its JSON alone."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from backend.lab.page.page import Chart, Page, Section, Sentence, Table
from backend.lab.page.svg import NARROW, PAGE_STYLE, STYLE, line_of, themed_svg
from coffee_core.pipelines import Pipeline, pipeline_named

Cell = Mapping[str, Any]
"""One fault and one pipeline, as docs/chaos.md describes it."""
_CHART, _TABLE = "again", "verdicts"
_LEAST_S = 0.05
_INCHES_A_FAULT = 0.24
_NEVER = "never"


def chaos_page(cells: Sequence[Cell], about: str, command: str, failures: Sequence[str] = ()) -> Page:
    """Return the page of some verdicts; ``about`` says when and where, ``failures`` what did not end."""
    sections = []
    if chart := _chart(cells):
        sections.append(
            Section("pictures", "How long until orders were visible again", charts=[chart], command=command)
        )
    sections.append(
        Section(
            _TABLE,
            "Every verdict",
            [
                Sentence(line, _TABLE)
                for line in (*(line for cell in cells for line in _remarks(cell)), *_kept(cells))
            ],
            tables=[Table("What each fault did to each pipeline", _rows(cells))],
            command=command,
        )
    )
    if failures:
        sections.append(Section("failures", "Not run to its end", [Sentence(failure) for failure in failures]))
    return Page("coffee chaos", about, [*_answer(cells), *_unfinished(failures)], sections)


def _answer(cells: Sequence[Cell]) -> list[Sentence]:
    if not cells:
        return [Sentence("Nothing was run to its end.")]
    accepted = sum(cell.get("accepted", 0) for cell in cells)
    faults = len({cell["fault"] for cell in cells})
    of = f"{faults} fault{'s' * (faults != 1)}" + (f" and {accepted:,} acknowledged orders" if accepted else "")
    if wrong := [cell for cell in cells if not cell["exact"]]:
        named = "; ".join(f"{cell['fault']} of {cell['pipeline']}" for cell in wrong)
        promised = all(cell.get("may_lose") for cell in wrong)
        end = ", where no more was promised" if promised else ""
        first = f"Of {of}, not everything was kept: {named}{end}."
    else:
        first = f"Of {of}, not one order was lost, duplicated or adrift."
    sentences = [Sentence(first, _TABLE)]
    for pipeline in _pipelines(cells):
        again = [
            (cell["visible_again_s"], cell["fault"])
            for cell in cells
            if cell["pipeline"] == pipeline and cell["visible_again_s"] is not None
        ]
        if again:
            longest_s, fault = max(again)
            sentences.append(
                Sentence(
                    f"{pipeline} was longest away with {fault}: new orders were visible after {longest_s:.2f} s.",
                    _CHART,
                )
            )
    return sentences


def _unfinished(failures: Sequence[str]) -> list[Sentence]:
    return [Sentence(f"{len(failures)} could not be run to the end.", "failures")] if failures else []


def _pipelines(cells: Sequence[Cell]) -> list[Pipeline]:
    return sorted({pipeline_named(cell["pipeline"]) for cell in cells})


def _chart(cells: Sequence[Cell]) -> Chart | None:
    """Draw when orders were visible again: a row a fault, a mark a pipeline."""
    faults = list(dict.fromkeys(cell["fault"] for cell in cells))
    seen = {(cell["fault"], cell["pipeline"]): cell["visible_again_s"] for cell in cells}
    if not any(value is not None for value in seen.values()):
        return None
    width, height = NARROW
    title = "Seconds from the fault until new orders were visible"
    with mpl.rc_context(STYLE | PAGE_STYLE):
        figure = Figure(figsize=(width, max(height, 1.2 + _INCHES_A_FAULT * len(faults))), layout="constrained")
        axes = figure.subplots()
        for pipeline in _pipelines(cells):
            points = [
                (max(_LEAST_S, value), place)
                for place, fault in enumerate(faults)
                if (value := seen.get((fault, pipeline))) is not None
            ]
            style = line_of(pipeline) | {"linestyle": "none", "linewidth": 0}
            axes.plot([at_s for at_s, _ in points], [place for _, place in points], **style)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} s"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_yticks(range(len(faults)), faults)
        axes.set_ylim(len(faults) - 0.5, -0.5)
        figure.legend(loc="outside upper left", ncols=2)
        svg = themed_svg(figure, _CHART)
    pipelines = _pipelines(cells)
    rows = [
        ["fault", *map(str, pipelines)],
        *(
            [fault, *(_seconds(seen[fault, each]) if (fault, each) in seen else "–" for each in pipelines)]
            for fault in faults
        ),
    ]
    return Chart(_CHART, title, svg, Table(title, rows))


def _rows(cells: Sequence[Cell]) -> list[list[str]]:
    head = ["fault", "pipeline", "verdict", "accepted", "lost", "duplicated", "drift", "refused", "unknown"]
    return [
        [*head, "visible again", "standstill"],
        *(
            [
                cell["fault"],
                cell["pipeline"],
                "exact" if cell["exact"] else "no more was promised" if cell.get("may_lose") else "NOT EXACT",
                *(_count(cell.get(name)) for name in ("accepted", "lost", "duplicated")),
                _drift(cell.get("drift")),
                *(_count(cell.get(name)) for name in ("refused", "unknown")),
                _seconds(cell["visible_again_s"]),
                _seconds(cell["standstill_s"]),
            ]
            for cell in cells
        ),
    ]


def _remarks(cell: Cell) -> list[str]:
    lines = [*cell.get("wrong", ()), *cell.get("notes", ())]
    return [f"{cell['fault']} {cell['pipeline']}: {line}" for line in lines]


def _kept(cells: Sequence[Cell]) -> list[str]:
    folders = {cell["evidence"]: cell["fault"] for cell in cells if cell.get("evidence")}
    return [f"{fault}: its history and pictures are in {folder}" for folder, fault in folders.items()]


def _count(value: Any) -> str:
    if value is None:
        return "–"
    return f"{len(value) if isinstance(value, (list, tuple)) else value:,}"


def _drift(drift: Mapping[str, Any] | None) -> str:
    if drift is None:
        return "–"
    orders, cents = drift["orders"], drift["revenue_cents"]
    return f"{orders:+,} ({cents:+,} ¢)" if orders or cents else "0"


def _seconds(value: float | None) -> str:
    return _NEVER if value is None else f"{value:.2f} s"
