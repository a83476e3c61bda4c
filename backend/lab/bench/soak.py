"""Hours of the same load: what drifts, and whether by more than the scatter of its own values.

Figures are series here: a value a slice, in their order.
"""

import asyncio
import math
import statistics
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from backend.lab.bench.bench import Announce, Step, run, started, until_signalled, warming_up
from backend.lab.bench.bench_stack import BenchStack
from backend.lab.bench.figures import QUANTILES, Figure, Figures
from backend.lab.bench.harness import Harness
from backend.lab.bench.report import show
from backend.lab.bench.size import Size
from backend.lab.bench.steps_idle import wait_for_rest
from backend.lab.bench.steps_load import independent
from backend.lab.bench.usage import kept, usage
from coffee_core.pipelines import Pipeline, is_part

SLICES = 60
"""At most; a slice lasts a second at least."""
_HOUR_S = 3_600
_CLEAR = 2.0
"""A slope of more than so many of its errors is a trend."""


async def soak(
    size: Size, parent: Path, pipelines: Sequence[Pipeline], for_s: float, announce: Announce
) -> Figures:
    """Put ``size.fault_rate`` orders a second into each pipeline at once for so long, on a stack of its own.

    SIGINT, SIGTERM and SIGHUP end it with what is done. Raises StackError where the stack does not come up.
    """
    figures = Figures()

    async def measure(stopped: "asyncio.Task[bool]") -> Figures:
        async with started(size, BenchStack(parent, pipelines), announce, stopped) as harness:
            slice_s = slice_of(for_s)
            steps = [
                warming_up(harness),
                Step("the stack comes to rest", 20, partial(wait_for_rest, harness)),
                *[Step("soaking", slice_s, partial(_slice, harness, slice_s, figures))] * round(for_s / slice_s),
            ]
            await run(steps, harness, announce, stopped)
            for note in harness.notes:
                announce(note)
        return figures

    return await until_signalled(measure)


def slice_of(for_s: float) -> float:
    """Return the seconds of a slice."""
    return max(1.0, for_s / SLICES)


async def _slice(harness: Harness, slice_s: float, figures: Figures) -> None:
    loads = await harness.load("soak", harness.pipelines, independent(harness.size.fault_rate), slice_s)
    used = await usage(harness.stack.home)
    figures.add("soak.memory", used.memory_bytes, "bytes")
    for load in loads:
        pipeline, measured = load.pipeline, harness.measured(load)
        for kind in ("api",) if pipeline.info.shown_in_runs else ("api", "dashboard"):
            for quantile in QUANTILES:
                late_us = getattr(getattr(measured, kind), quantile)
                figures.add(f"{pipeline}.soak.{kind}.{quantile}", late_us, "µs")
        figures.add(f"{pipeline}.soak.failed", measured.failed, "orders")
        own = [memory for part, memory in used.memory_of.items() if is_part(part, pipeline.info.cost_parts)]
        figures.add(f"{pipeline}.soak.memory", sum(own), "bytes")
        left = await kept(harness.settings, pipeline)
        figures.add(f"{pipeline}.soak.disk", left.disk_bytes, "bytes")
        figures.add(f"{pipeline}.soak.redis", left.redis_bytes, "bytes")
        harness.watcher.histories[pipeline].forget()


def slope(values: Sequence[float]) -> tuple[float, float]:
    """Return how much a series grows from one value to the next, by least squares, and the standard error of that.

    Raises ValueError of fewer than three values.
    """
    if len(values) < 3:
        raise ValueError("a slope takes three values")
    places = range(len(values))
    rise, start = statistics.linear_regression(places, values)
    left = sum((value - start - rise * place) ** 2 for place, value in zip(places, values, strict=True))
    spread = sum((place - statistics.fmean(places)) ** 2 for place in places)
    return rise, math.sqrt(left / (len(values) - 2) / spread)


def as_lines(figures: Figures, for_s: float) -> list[str]:
    """Return a table: the middle of the first and of the last quarter, and how it drifts in an hour."""
    rows = [("", "first quarter", "last quarter", "an hour", "±", ""), *_rows(figures, _HOUR_S / slice_of(for_s))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            text.ljust(width) if column in (0, 5) else text.rjust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _rows(figures: Figures, slices_an_hour: float) -> list[tuple[str, ...]]:
    rows = []
    for name, figure in sorted(figures):
        if len(figure.values) < 3:
            continue
        quarter = max(1, len(figure.values) // 4)
        ends = (statistics.median(figure.values[:quarter]), statistics.median(figure.values[-quarter:]))
        rise, error = slope(figure.values)
        trend = "grows" if rise > 0 else "falls"
        word = trend if abs(rise) > _CLEAR * error else "no trend beyond its error"
        one = partial(_shown, figure)
        drift = ("-" if rise < 0 else "+") + one(abs(rise) * slices_an_hour)
        rows.append((name, *map(one, ends), drift, one(error * slices_an_hour), word))
    return rows


def _shown(figure: Figure, value: float) -> str:
    return show(Figure(figure.unit, figure.better, [value]))
