"""The pictures of a run, made of its evidence alone: totals, lag, and one order's way."""

import json
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from backend.lab.chaos.evidence import lines
from backend.lab.page.svg import FAULT, INK, SOFT, STYLE, colour_of
from coffee_core.pipelines import Pipeline, pipeline_named

Line = Mapping[str, Any]
_INCHES = (9.0, 4.5)
_FONT = {"svg.fonttype": "none", "font.sans-serif": ["DejaVu Sans", "sans-serif"]}
_LANES = ("client", "API", "PostgreSQL", "Redis, as seen")
_US = 1e6


def draw(folder: Path) -> None:
    """Draw ``totals.svg``, ``lag.svg`` and ``way.svg`` into a folder of evidence."""
    about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
    history, shown, faults, rows = (lines(folder, name) for name in ("history", "shown", "faults", "rows"))
    # Of a storm its faults, not the time that it takes as a whole.
    faults = [line for line in faults if line["fault"] != about["name"]] or faults
    pipelines = [pipeline_named(name) for name in about["pipelines"]]
    with mpl.rc_context(STYLE | _FONT):
        seen = {name: _seen(name, shown, about["shown_before"][name]["orders"]) for name in pipelines}
        accepted = {name: _accepted(name, history) for name in pipelines}
        _save(folder / "totals.svg", _totals(about, accepted, seen, faults))
        _save(folder / "lag.svg", _lag(about, accepted, seen, faults))
        if (way := _way(history, rows, seen, faults)) is not None:
            _save(folder / "way.svg", way)


def _save(path: Path, figure: Figure) -> None:
    path.touch(mode=0o600)
    figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def _seen(pipeline: Pipeline, shown: Sequence[Line], before: int) -> list[tuple[float, int]]:
    """Return when which total of the run's own orders was shown, in seconds since it began."""
    return [(line["read_us"] / _US, line["orders"] - before) for line in shown if line["pipeline"] == pipeline]


def _accepted(pipeline: Pipeline, history: Sequence[Line]) -> list[float]:
    """Return when each distinct order was first acknowledged, in seconds, in order."""
    first: dict[int, float] = {}
    for line in history:  # in the order of the answers
        if line["pipeline"] == pipeline and line["outcome"] == "acknowledged":
            first.setdefault(line["ordered_at_us"], line["answered_us"] / _US)
    return sorted(first.values())


def _figure(title: str, faults: Sequence[Line]) -> tuple[Figure, Axes]:
    figure = Figure(figsize=_INCHES, layout="constrained")
    figure.suptitle(title)
    axes = figure.subplots()
    axes.set_xlabel("seconds since the run began")
    _mark(axes, faults)
    return figure, axes


def _mark(axes: Axes, faults: Sequence[Line]) -> None:
    """Mark the moment of each fault, and shade for how long it lasts; one alone until what was broken is back."""
    strikes = [line for line in faults if line["moment"] == "struck"]
    back_s = max((line["at_us"] for line in faults if line["moment"] == "over"), default=0) / _US
    for place, struck in enumerate(strikes):
        at_s = struck["at_us"] / _US
        # Of several none is known to be back before all are.
        end_s = max(at_s, back_s) if len(strikes) == 1 else at_s + (struck["lasts_s"] or 0)
        axes.axvspan(at_s, end_s, color=FAULT, alpha=0.12, linewidth=0)
        axes.axvline(at_s, color=FAULT, linewidth=1)
        axes.annotate(
            struck["fault"],
            (at_s, 1 - 0.05 * (place % 8)),
            xycoords=("data", "axes fraction"),
            xytext=(3, -10),
            textcoords="offset points",
            color=FAULT,
            fontsize=8,
        )


def _totals(
    about: Line,
    accepted: Mapping[Pipeline, Sequence[float]],
    seen: Mapping[Pipeline, Sequence[tuple[float, int]]],
    faults: Sequence[Line],
) -> Figure:
    figure, axes = _figure(f"{about['name']}: acknowledged (thin) and shown", faults)
    for pipeline, points in seen.items():
        colour = colour_of(pipeline)
        times = accepted[pipeline]
        axes.step(times, range(1, len(times) + 1), where="post", color=colour, linewidth=0.8)
        axes.step(
            [at_s for at_s, _ in points],
            [count for _, count in points],
            where="post",
            color=colour,
            linewidth=2,
            label=f"{pipeline} {pipeline.info.title}",
        )
    axes.set_ylabel("orders of this run")
    axes.legend(loc="lower right")
    return figure


def _lag(
    about: Line,
    accepted: Mapping[Pipeline, Sequence[float]],
    seen: Mapping[Pipeline, Sequence[tuple[float, int]]],
    faults: Sequence[Line],
) -> Figure:
    figure, axes = _figure(f"{about['name']}: acknowledged and not shown yet", faults)
    for pipeline, points in seen.items():
        times = accepted[pipeline]
        changes = [0.0, *(at_s for at_s, _ in points)]
        counts = [0, *(count for _, count in points)]
        moments = sorted([*times, *changes])
        # An order may be shown before its answer has come: it does not wait.
        waiting = [bisect_right(times, at_s) - counts[bisect_right(changes, at_s) - 1] for at_s in moments]
        axes.step(
            moments,
            [max(0, number) for number in waiting],
            where="post",
            color=colour_of(pipeline),
            linewidth=1.5,
            label=f"{pipeline} {pipeline.info.title}",
        )
    axes.set_ylabel("orders")
    axes.legend(loc="upper right")
    return figure


def _slowest(history: Sequence[Line], rows: Sequence[Line]) -> tuple[Line, list[Line]] | None:
    """Return the row that took longest from its first request, and all requests for it; None without a row."""
    requests: dict[tuple[str, int], list[Line]] = defaultdict(list)
    for line in history:
        if line["kind"] != "malformed":
            requests[line["pipeline"], line["ordered_at_us"]].append(line)

    def of(row: Line) -> list[Line]:
        return requests[row["pipeline"], row["ordered_at_us"]]

    def took_us(row: Line) -> int:
        return int(max(row["stored_us"], row["accepted_us"]) - min(request["sent_us"] for request in of(row)))

    row = max((row for row in rows if of(row)), key=took_us, default=None)
    return None if row is None else (row, of(row))


def _certainly_shown(
    row: Line, history: Sequence[Line], seen: Sequence[tuple[float, int]]
) -> Iterator[tuple[int, int, str]]:
    """Yield when so much was shown that the order must be among it, where it ever was."""
    begun = {
        line["ordered_at_us"]
        for line in history
        if line["pipeline"] == row["pipeline"] and line["sent_us"] <= row["accepted_us"]
    }
    for at_s, count in seen:
        if count >= len(begun):
            yield round(at_s * _US), 3, "certainly shown"
            return


def _way(
    history: Sequence[Line],
    rows: Sequence[Line],
    seen: Mapping[Pipeline, Sequence[tuple[float, int]]],
    faults: Sequence[Line],
) -> Figure | None:
    """Draw the order that took longest to become a row, as a space-time diagram: who knew of it, and when."""
    if (slowest := _slowest(history, rows)) is None:
        return None
    row, requests = slowest
    pipeline = pipeline_named(row["pipeline"])
    figure = Figure(figsize=(7.5, 7.5), layout="constrained")
    figure.suptitle(f"{pipeline}: {row['drink']} at {row['store']}, {row['message_id']}", fontsize=10)
    axes = figure.subplots()
    colour = colour_of(pipeline)
    steps = [(row["accepted_us"], 1, "taken"), (row["stored_us"], 2, "stored")]
    steps += _certainly_shown(row, history, seen[pipeline])
    for (at_us, lane, _), (then_us, other, _) in pairwise(sorted(steps)):
        _arrow(axes, (lane, at_us), (other, then_us), colour)
    for request in requests:
        # When the API answered nobody has written down: it lies on its line somewhere between the two.
        between_us = (request["sent_us"] + request["answered_us"]) // 2
        taken = request["sent_us"] <= row["accepted_us"] <= request["answered_us"]
        at_api = (1, row["accepted_us"] if taken else between_us)
        _arrow(axes, (0, request["sent_us"]), at_api, SOFT)
        if request["status"] is not None:
            _arrow(axes, at_api, (0, request["answered_us"]), SOFT)
        words = f"{request['outcome']} {request['status'] or ''}".strip()
        steps += [(request["sent_us"], 0, "sent"), (request["answered_us"], 0, words)]
    for at_us, lane, words in steps:
        axes.plot([lane], [at_us / _US], "o", color=colour, markersize=5)
        text = f"{words}, {at_us / _US:.3f} s"
        axes.annotate(text, (lane, at_us / _US), xytext=(6, 3), textcoords="offset points", fontsize=8)
    first, last = min(at for at, _, _ in steps) / _US, max(at for at, _, _ in steps) / _US
    margin = max(0.002, (last - first) * 0.08)
    for line in faults:
        at_s = line["at_us"] / _US
        if line["moment"] == "struck" and first - margin <= at_s <= last + margin:
            axes.axhline(at_s, color=FAULT, linewidth=1)
            axes.annotate(line["fault"], (3.9, at_s), color=FAULT, fontsize=8, ha="right", va="bottom")
    axes.set_xlim(-0.2, 3.9)
    axes.set_ylim(last + margin, first - margin)  # time runs down
    axes.set_xticks(range(len(_LANES)), _LANES)
    axes.xaxis.tick_top()
    axes.set_ylabel("seconds since the run began")
    axes.vlines(range(len(_LANES)), first - margin, last + margin, color=INK, linewidth=0.8)
    return figure


def _arrow(axes: Axes, from_: tuple[float, int], to: tuple[float, int], colour: str) -> None:
    (lane, at_us), (other, then_us) = from_, to
    axes.annotate(
        "",
        (other, then_us / _US),
        (lane, at_us / _US),
        arrowprops={"arrowstyle": "->", "color": colour, "linewidth": 1.3, "shrinkA": 3, "shrinkB": 3},
    )
