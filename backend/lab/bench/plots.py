"""The pictures of a report, each as PNG and SVG. The colours of the pipelines are those of the dashboard."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from backend.lab.bench.harness import periodic
from backend.lab.bench.load_run import duration
from backend.lab.bench.result import Result
from backend.lab.bench.steps_load import BOUND_US
from backend.lab.bench.verdict import curve
from coffee_core.pipelines import Pipeline

_COLOURS = ("#E69F00", "#56B4E9", "#CC79A7", "#009E73", "#F0E442")
"""Of Okabe and Ito, by the slot that a pipeline declares: colour-blind eyes distinguish them, too."""
_MARKERS = ("o", "s", "^", "D", "v")
_INK, _FAULT = "#444444", "#B00020"
_SIZE = (9.0, 5.0)
_STYLE: dict[Any, Any] = {
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "svg.hashsalt": "coffee-rt",
}


def draw(result: Result, folder: Path) -> list[str]:
    """Draw all that there is something to draw for; return the names without their endings."""
    drawn = []
    pictures: dict[str, Callable[[Figure, Result], bool]] = {
        "latency": _latency,
        "rates": _rates,
        "flow": _flow,
        "cost": _cost,
    }
    with mpl.rc_context(_STYLE):
        for name, paint in pictures.items():
            figure = Figure(figsize=_SIZE, layout="constrained")
            if paint(figure, result):
                figure.savefig(folder / f"{name}.png", dpi=130, metadata={"Software": None})
                figure.savefig(folder / f"{name}.svg", metadata={"Date": None, "Creator": None})
                drawn.append(name)
    return drawn


def _latency(figure: Figure, result: Result) -> bool:
    """Draw how late answers and dashboard are, as percentiles, at the middle rate."""
    rate = sorted(result.rates)[len(result.rates) // 2]
    left, right = figure.subplots(1, 2, sharey=True)
    found = [_percentiles(axes, result, rate, kind) for axes, kind in ((left, "api"), (right, "dashboard"))]
    for axes, title in ((left, "Answer"), (right, "On the dashboard")):
        axes.set_title(title)
        axes.set_xlabel("of 100 orders, this many are not later")
    figure.suptitle(f"Latency from the intended send time, at {rate:,} orders/s, each pipeline alone")
    return _with_legend(left, drawn=any(found))


def _percentiles(axes: Axes, result: Result, rate: int, kind: str) -> bool:
    drawn = False
    for pipeline in result.pipelines:
        points = result.distributions.get(f"{pipeline}.alone.{rate}.{kind}", [])
        if kind == "dashboard":
            points = result.distributions.get(periodic(pipeline), points)
        if points:
            # Each step towards 100 has the same room: 90, 99, 99.9.
            axes.plot([_tail(percentile) for percentile, _ in points], [us for _, us in points], **_line(pipeline))
            drawn = True
    ticks = (0, 50, 90, 99, 99.9)
    axes.set_xticks([_tail(tick) for tick in ticks], [f"{tick:g}" for tick in ticks])
    _latency_axis(axes)
    return drawn


def _tail(percentile: float) -> float:
    return -math.log10(max(1 - percentile / 100, 5e-4))


def _rates(figure: Figure, result: Result) -> bool:
    """Draw p99 over the offered rate: the hockey stick."""
    left, right = figure.subplots(1, 2, sharey=True)
    drawn = False
    for axes, kind, title in ((left, "api", "Answer"), (right, "dashboard", "On the dashboard")):
        for pipeline in result.pipelines:
            points = curve(result, pipeline, kind)
            if points:
                axes.plot([rate for rate, _ in points], [late.middle for _, late in points], **_line(pipeline))
                drawn = True
        axes.axhline(BOUND_US, color=_INK, linewidth=0.8, linestyle=":")
        axes.set_title(title)
        axes.set_xscale("log")
        axes.set_xlabel("orders offered a second")
        axes.set_xticks(result.rates, [f"{offered:,}" for offered in result.rates])
        axes.xaxis.set_minor_formatter(NullFormatter())
        _latency_axis(axes)
    figure.suptitle("p99 from the intended send time, over the offered rate, each pipeline alone")
    left.annotate(
        "bound of the breakpoint",
        (left.get_xlim()[0], BOUND_US),
        (4, 3),
        textcoords="offset points",
        color=_INK,
        fontsize=9,
    )
    return _with_legend(left, drawn=drawn)


def _flow(figure: Figure, result: Result) -> bool:
    """Draw orders offered and visible over time, a panel a pipeline, with the moment of each kill."""
    pipelines = [pipeline for pipeline in result.pipelines if str(pipeline) in result.flow]
    if not pipelines:
        return False
    panels = figure.subplots(1, len(pipelines), sharey=True, squeeze=False)[0]
    for axes, pipeline in zip(panels, pipelines, strict=True):
        flow = result.flow[str(pipeline)]
        axes.plot(*zip(*flow["offered"], strict=True), color="#999999", linewidth=1.2, label="offered")
        visible = flow["visible"]
        axes.step(
            *zip(*visible, strict=True),
            where="post",
            color=_colour(pipeline),
            linewidth=2.0,
            label="on the dashboard",
        )
        if flow["killed_s"] is not None:
            axes.axvline(flow["killed_s"], color=_FAULT, linewidth=1.2)
            # Beside the line where the sums are not: they run from the lower left to the upper right.
            is_early = flow["killed_s"] < flow["offered"][-1][0] / 4
            axes.annotate(
                f"{flow['part']}\nkilled",
                (flow["killed_s"], 0.6 if is_early else 0.02),
                (3, 0),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                color=_FAULT,
                fontsize=8,
                va="bottom",
            )
        axes.set_title(f"{pipeline} {pipeline.info.title}")
        axes.set_xlabel("seconds")
        axes.legend(loc="upper left", fontsize=9, frameon=True, framealpha=1, edgecolor="white")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.set_ylim(bottom=0)
    panels[0].set_ylabel("orders, cumulative")
    return True


def _cost(figure: Figure, result: Result) -> bool:
    """Draw what a million orders cost: processor, disk, memory of Redis."""
    costs = (
        ("cpu", "processor seconds", 1.0),
        ("disk", "kept on disk, MB", 1e6),
        ("redis", "memory of Redis, MB", 1e6),
    )
    panels = figure.subplots(1, len(costs))
    drawn = False
    for axes, (name, title, unit) in zip(panels, costs, strict=True):
        for place, pipeline in enumerate(result.pipelines):
            found = result.figures.get(f"{pipeline}.cost.{name}")
            if found is None:
                continue
            middle = found.middle / unit
            reach = [[middle - found.low / unit], [found.high / unit - middle]]
            axes.bar(place, middle, color=_colour(pipeline), width=0.6, yerr=reach, ecolor=_INK, capsize=4)
            axes.annotate(
                f"{middle:,.3g}" if middle < 100 else f"{middle:,.0f}",
                (place, found.high / unit),
                (0, 4),
                textcoords="offset points",
                ha="center",
                color=_INK,
            )
            drawn = True
        axes.set_title(title)
        axes.set_xticks(range(len(result.pipelines)), [str(pipeline) for pipeline in result.pipelines])
        axes.grid(visible=False, axis="x")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.margins(y=0.12)
    figure.suptitle(f"Cost of a million orders, measured at {max(result.rates):,} orders/s, each pipeline alone")
    return drawn


def _with_legend(axes: Axes, *, drawn: bool) -> bool:
    if drawn:
        axes.legend(loc="upper left")
    return drawn


def _colour(pipeline: Pipeline) -> str:
    return _COLOURS[pipeline.info.colour % len(_COLOURS)]


def _line(pipeline: Pipeline) -> dict[str, Any]:
    return {
        "color": _colour(pipeline),
        "marker": _MARKERS[pipeline.info.colour % len(_MARKERS)],
        "markersize": 5,
        "linewidth": 2,
        "label": f"{pipeline} {pipeline.info.title}",
    }


def _latency_axis(axes: Axes) -> None:
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: duration(value)))
    axes.yaxis.set_minor_formatter(NullFormatter())
