"""The pictures of a report, each as PNG and SVG, and those of its page."""

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from backend.lab.bench.harness import periodic
from backend.lab.bench.load_run import duration
from backend.lab.bench.result import Result
from backend.lab.bench.steps_load import BOUND_US
from backend.lab.bench.verdict import curve
from backend.lab.page.svg import (
    FAULT,
    INK,
    NARROW,
    PAGE_STYLE,
    PAPER,
    SOFT,
    STYLE,
    colour_of,
    lay_out,
    line_of,
    themed_svg,
)

PICTURES = ("latency", "rates", "flow", "cost")
_SIZE = (9.0, 5.0)
"""Inches of a picture in a report of Markdown: its panels stand side by side."""


def draw(result: Result, folder: Path) -> list[str]:
    """Draw all that there is something to draw for; return the names without their endings."""
    drawn = []
    with mpl.rc_context(STYLE):
        for name, figure in _painted(result, _SIZE):
            lay_out(figure)
            figure.savefig(folder / f"{name}.png", dpi=130, metadata={"Software": None})
            figure.savefig(folder / f"{name}.svg", metadata={"Date": None, "Creator": None})
            drawn.append(name)
    return drawn


def charts(
    result: Result, asked_us: float | None = None, names: Collection[str] = PICTURES
) -> dict[str, tuple[str, str]]:
    """Draw those of ``names`` for a page that a phone may show: name → its title, and the picture of its chart.

    ``asked_us`` is a bound of one's own, in place of that of the breakpoint.
    """
    with mpl.rc_context(STYLE | PAGE_STYLE):
        found = {}
        for name, figure in _painted(result, NARROW, asked_us, names):
            title = figure.get_suptitle()
            figure.suptitle("")
            found[name] = (title, themed_svg(figure, name))
        return found


def _painted(
    result: Result,
    inches: tuple[float, float],
    asked_us: float | None = None,
    names: Collection[str] = PICTURES,
) -> Iterator[tuple[str, Figure]]:
    pictures: dict[str, Callable[[Figure, Result], bool]] = {
        "latency": _latency,
        "rates": partial(_rates, asked_us=asked_us),
        "flow": _flow,
        "cost": _cost,
    }
    for name in (name for name in PICTURES if name in names):
        figure = Figure(figsize=inches, layout=ConstrainedLayoutEngine(hspace=0.08))
        if pictures[name](figure, result):
            yield name, figure


def _panels(figure: Figure, number: int, **options: Any) -> Sequence[Axes]:
    """Divide a figure: side by side where it is wide, else one below the other, and it grows as it must."""
    is_wide = figure.get_figwidth() >= _SIZE[0]
    if not is_wide:
        figure.set_figheight(figure.get_figheight() * number)
    rows, columns = (1, number) if is_wide else (number, 1)
    panels: Sequence[Axes] = figure.subplots(rows, columns, squeeze=False, **options).ravel()
    return panels


def _latency(figure: Figure, result: Result) -> bool:
    """Draw how late answers and dashboard are, as percentiles, at the middle rate."""
    rate = sorted(result.rates)[len(result.rates) // 2]
    left, right = _panels(figure, 2, sharey=True)
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
            axes.plot(
                [_tail(percentile) for percentile, _ in points], [us for _, us in points], **line_of(pipeline)
            )
            drawn = True
    ticks = (0, 50, 90, 99, 99.9)
    axes.set_xticks([_tail(tick) for tick in ticks], [f"{tick:g}" for tick in ticks])
    _latency_axis(axes)
    return drawn


def _tail(percentile: float) -> float:
    return -math.log10(max(1 - percentile / 100, 5e-4))


def _rates(figure: Figure, result: Result, asked_us: float | None) -> bool:
    """Draw p99 over the offered rate: the hockey stick."""
    left, right = _panels(figure, 2, sharey=True)
    drawn = False
    for axes, kind, title in ((left, "api", "Answer"), (right, "dashboard", "On the dashboard")):
        for pipeline in result.pipelines:
            points = curve(result, pipeline, kind)
            if points:
                axes.plot([rate for rate, _ in points], [late.middle for _, late in points], **line_of(pipeline))
                drawn = True
        axes.axhline(asked_us or BOUND_US, color=INK, linewidth=0.8, linestyle=":")
        axes.set_title(title)
        axes.set_xscale("log")
        axes.set_xlabel("orders offered a second")
        axes.set_xticks(result.rates, [f"{offered:,}" for offered in result.rates])
        axes.xaxis.set_minor_locator(NullLocator())
        _latency_axis(axes)
    figure.suptitle("p99 from the intended send time, over the offered rate, each pipeline alone")
    left.annotate(
        f"asked: {duration(asked_us)}" if asked_us else "bound of the breakpoint",
        (left.get_xlim()[0], asked_us or BOUND_US),
        (4, 3),
        textcoords="offset points",
        color=INK,
        fontsize=9,
    )
    return _with_legend(left, drawn=drawn)


def _flow(figure: Figure, result: Result) -> bool:
    """Draw orders offered and visible over time, a panel a pipeline, with the moment of each kill."""
    pipelines = [pipeline for pipeline in result.pipelines if str(pipeline) in result.flow]
    if not pipelines:
        return False
    panels = _panels(figure, len(pipelines), sharey=True)
    for axes, pipeline in zip(panels, pipelines, strict=True):
        flow = result.flow[str(pipeline)]
        axes.plot(*zip(*flow["offered"], strict=True), color=SOFT, linewidth=1.2, label="offered")
        visible = flow["visible"]
        axes.step(
            *zip(*visible, strict=True),
            where="post",
            color=colour_of(pipeline),
            linewidth=2.0,
            label="on the dashboard",
        )
        if flow["killed_s"] is not None:
            axes.axvline(flow["killed_s"], color=FAULT, linewidth=1.2)
            # Beside the line where the sums are not: they run from the lower left to the upper right.
            is_early = flow["killed_s"] < flow["offered"][-1][0] / 4
            axes.annotate(
                f"{flow['part']}\nkilled",
                (flow["killed_s"], 0.6 if is_early else 0.02),
                (3, 0),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                color=FAULT,
                fontsize=8,
                va="bottom",
            )
        axes.set_title(f"{pipeline} {pipeline.info.title}")
        axes.set_xlabel("seconds")
        axes.legend(loc="upper left", fontsize=9, frameon=True, framealpha=1, edgecolor=PAPER)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.set_ylim(bottom=0)
    panels[0].set_ylabel("orders, cumulative")
    figure.suptitle("Orders offered and on the dashboard while each pipeline's worker is killed")
    return True


def _cost(figure: Figure, result: Result) -> bool:
    """Draw what a million orders cost: processor, disk, memory of Redis."""
    costs = (
        ("cpu", "processor seconds", 1.0),
        ("disk", "kept on disk, MB", 1e6),
        ("redis", "memory of Redis, MB", 1e6),
    )
    panels = _panels(figure, len(costs))
    drawn = False
    for axes, (name, title, unit) in zip(panels, costs, strict=True):
        for place, pipeline in enumerate(result.pipelines):
            found = result.figures.get(f"{pipeline}.cost.{name}")
            if found is None:
                continue
            middle = found.middle / unit
            reach = [[middle - found.low / unit], [found.high / unit - middle]]
            axes.bar(place, middle, color=colour_of(pipeline), width=0.6, yerr=reach, ecolor=INK, capsize=4)
            axes.annotate(
                f"{middle:,.3g}" if middle < 100 else f"{middle:,.0f}",
                (place, found.high / unit),
                (0, 4),
                textcoords="offset points",
                ha="center",
                color=INK,
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


def _latency_axis(axes: Axes) -> None:
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: duration(value)))
    axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
    axes.yaxis.set_minor_formatter(NullFormatter())
