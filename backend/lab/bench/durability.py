"""What each notch of the durability dial costs: the same closed loops on stacks of their own, in turn."""

from collections.abc import Callable, Sequence
from pathlib import Path

from backend.lab.bench.bench_stack import BenchStack
from backend.lab.bench.figures import QUANTILES, Figure, Figures
from backend.lab.bench.harness import measuring
from backend.lab.bench.size import Size
from backend.lab.bench.steps_idle import first_orders
from backend.lab.bench.steps_load import MANY, closed
from coffee_core.durability import NOTCHES
from coffee_core.pipelines import Pipeline

_HEADINGS = ("", "durability", "1 client p50", "p99", "p99.9", f"{MANY} clients", "lowest to highest")


async def bench_durability(
    size: Size, parent: Path, pipelines: Sequence[Pipeline], announce: Callable[[str], None]
) -> Figures:
    """Measure each notch ``size.rounds`` times, on stacks whose data lie in a folder within ``parent``.

    Figures are named ``strict.v1.closed.1.p50``. Raises CoffeeError where a stack is not up or a loop fails.
    """
    figures = Figures()
    notches = list(NOTCHES)
    for number in range(size.rounds):
        # Each round begins with another notch: none always comes first.
        for notch in (*notches[number % len(notches) :], *notches[: number % len(notches)]):
            announce(f"round {number + 1} of {size.rounds}: {notch}")
            await _measure(size, parent, pipelines, notch, figures)
    return figures


async def _measure(size: Size, parent: Path, pipelines: Sequence[Pipeline], notch: str, figures: Figures) -> None:
    async with (
        BenchStack(parent, pipelines, {"COFFEE_DURABILITY": notch}) as stack,
        measuring(size, stack) as harness,
    ):
        await first_orders(harness)
        await stack.wait_until_up()
        for pipeline in pipelines:
            await closed(harness, pipeline, f"{stack.settings.api_url}/api/{pipeline}/order")
        for name, figure in harness.figures:
            for value in figure.values:
                figures.add(f"{notch}.{name}", value, figure.unit, figure.better)


def as_table(figures: Figures, pipelines: Sequence[Pipeline]) -> list[str]:
    """Return the lines of a table: of each pipeline and notch the middle of all rounds."""
    rows = [_HEADINGS, *(_row(figures, pipeline, notch) for pipeline in pipelines for notch in NOTCHES)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_HEADINGS))]
    return [
        "  ".join(
            text.ljust(width) if i < 2 else text.rjust(width)
            for i, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _row(figures: Figures, pipeline: Pipeline, notch: str) -> tuple[str, ...]:
    def figure(of: str) -> Figure:
        found = figures.get(f"{notch}.{pipeline}.closed.{of}")
        assert found is not None, "every notch was measured, or an error was raised"
        return found

    rate = figure(f"{MANY}.rate")
    return (
        pipeline,
        notch,
        *(f"{figure(f'1.{quantile}').middle / 1_000:.2f} ms" for quantile in QUANTILES),
        f"{rate.middle:,.0f}/s",
        f"{rate.low:,.0f} to {rate.high:,.0f}/s",
    )
