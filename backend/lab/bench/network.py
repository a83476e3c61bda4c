"""What distance costs: the same loads with a round trip of so many milliseconds between every two parts."""

from collections.abc import Callable, Sequence
from pathlib import Path

from backend.lab.bench.bench_stack import BenchStack, free_range
from backend.lab.bench.figures import Figures
from backend.lab.bench.harness import Harness, live, measuring
from backend.lab.bench.size import Size
from backend.lab.bench.steps_idle import first_orders
from backend.lab.bench.steps_load import MANY, closed, independent, warm
from backend.stack.links import network
from backend.stack.network_lab import NetworkControl
from backend.stack.relay import Condition
from coffee_core.errors import StackError
from coffee_core.pipelines import Pipeline

_RATE_PER_S = 200
_LOAD = f"alone.{_RATE_PER_S}"
MOST_PORTS = 80
"""Ports in a row of which every relay gets its own."""
_HEADINGS = ("", "round trip", "1 client p50", "p99", f"{MANY} clients", f"shown p50, {_RATE_PER_S}/s", "p99")
RELAY = "relay.added"
"""Name of the figure of what a relay itself adds to a round trip."""


async def bench_rtt(
    size: Size,
    parent: Path,
    pipelines: Sequence[Pipeline],
    round_trips_ms: Sequence[float],
    announce: Callable[[str], None],
) -> Figures:
    """Measure each distance, and none, ``size.rounds`` times, on one stack in a folder within ``parent``.

    Figures are named ``5ms.v1.closed.1.p50``. Raises CoffeeError where the stack is not up or a loop fails.
    """
    figures = Figures()
    distances = [0.0, *round_trips_ms]
    port = free_range(MOST_PORTS)
    lab = {"COFFEE_NETWORK_LAB": "yes", "COFFEE_NETWORK_LAB_PORT": str(port)}
    async with BenchStack(parent, pipelines, lab) as stack, measuring(size, stack) as harness:
        if (links := network(stack.settings)) is None:
            raise StackError("the stack of the bench has no network lab")
        announce("starting a stack with a relay on every link")
        await first_orders(harness)
        await stack.wait_until_up()
        await warm(harness)
        async with NetworkControl(stack.home, links.control_port) as control:
            overview = await control.overview()
            figures.add(RELAY, overview.added_us, "µs")
            for number in range(size.rounds):
                # Each round begins with another distance: none always comes first.
                first = number % len(distances)
                for distance_ms in (*distances[first:], *distances[:first]):
                    announce(f"round {number + 1} of {size.rounds}: {distance_ms:g} ms between every two parts")
                    one_way = Condition(delay_s=distance_ms / 2_000)
                    await control.put(tuple(overview.connections), one_way, one_way)
                    await _measure(harness, pipelines, distance_ms, figures)
    return figures


async def _measure(harness: Harness, pipelines: Sequence[Pipeline], distance_ms: float, figures: Figures) -> None:
    harness.figures = Figures()
    for pipeline in pipelines:
        await closed(harness, pipeline, f"{harness.settings.api_url}/api/{pipeline}/order")
    for pipeline in live(pipelines):
        harness.pending += await harness.load(
            _LOAD, [pipeline], independent(_RATE_PER_S), harness.size.load_s_at(_RATE_PER_S)
        )
    harness.write_up()
    for name, figure in harness.figures:
        for value in figure.values:
            figures.add(f"{distance_ms:g}ms.{name}", value, figure.unit, figure.better)


def as_lines(figures: Figures, pipelines: Sequence[Pipeline], round_trips_ms: Sequence[float]) -> list[str]:
    """Return a table, the middle of all rounds, and how many round trips an answer and a total wait for."""
    distances = [0.0, *round_trips_ms]
    rows = [_HEADINGS, *(_row(figures, pipeline, distance) for pipeline in pipelines for distance in distances)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_HEADINGS))]
    lines = [
        "  ".join(
            text.ljust(width) if i == 0 else text.rjust(width)
            for i, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    farthest_ms = max(round_trips_ms)
    added = figures.middle(RELAY) or 0.0
    return [
        *lines,
        "",
        *(_sentence(figures, pipeline, farthest_ms) for pipeline in pipelines),
        f"The relays themselves add {added / 1_000:.2f} ms to a round trip (p50), also at 0 ms.",
    ]


def _row(figures: Figures, pipeline: Pipeline, distance_ms: float) -> tuple[str, ...]:
    def ms(of: str) -> str:
        value = figures.middle(f"{distance_ms:g}ms.{pipeline}.{of}")
        return "–" if value is None else f"{value / 1_000:.2f} ms"

    rate = figures.middle(f"{distance_ms:g}ms.{pipeline}.closed.{MANY}.rate")
    shown = [ms(f"{_LOAD}.dashboard.{quantile}") for quantile in ("p50", "p99")]
    per_s = "–" if rate is None else f"{rate:,.0f}/s"
    return (pipeline, f"{distance_ms:g} ms", ms("closed.1.p50"), ms("closed.1.p99"), per_s, *shown)


def _sentence(figures: Figures, pipeline: Pipeline, distance_ms: float) -> str:
    def waits(of: str) -> str:
        near, far = (figures.middle(f"{each:g}ms.{pipeline}.{of}") for each in (0.0, distance_ms))
        return "–" if near is None or far is None else f"{(far - near) / 1_000 / distance_ms:.1f}"

    shown = waits(f"{_LOAD}.dashboard.p50")
    total = "; how late a total is, its runs decide" if shown == "–" else f", until it is shown {shown}"
    return f"{pipeline}: to its answer an order waits for {waits('closed.1.p50')} round trips{total}."
