"""Whether the dashboard's memory is flat: an hour of snapshots, ten a second, as fast as they can be drawn.

Run by hand: ``python -m tests.integration.coffee_tui.bench_hour``; it writes the memory every five minutes of it.
``--trace`` says at the end which lines hold more than after the first five minutes.
"""

import argparse
import asyncio
import gc
import sys
import tracemalloc

import psutil

from coffee_core.pipelines import DEFAULT_PIPELINES
from coffee_tui.app import CoffeeApp
from coffee_tui.data.history import Moment
from coffee_tui.data.live import LIVE
from coffee_tui.data.sources import Sources
from coffee_tui.data.state import DashboardState
from coffee_tui.screens.live import SnapshotChanged
from tests.integration.coffee_tui.bench import Stack
from tests.unit.coffee_tui.scripted import NotedOrders, ScriptedFeed

_TELL_EVERY_S, _LINES = 300, 12


async def draw(hours: float, frames_per_s: int, *, trace: bool) -> None:
    """Draw so many hours; every frame of a whole second is painted."""
    app = CoffeeApp(Sources(DEFAULT_PIPELINES, ScriptedFeed(), NotedOrders()))
    stack, state, process = Stack(1_000), DashboardState(DEFAULT_PIPELINES), psutil.Process()
    state.mode = LIVE
    before: tracemalloc.Snapshot | None = None
    async with app.run_test(size=(168, 44)) as pilot:
        for frame in range(int(frames_per_s * hours * 3_600)):
            at_s = frame / frames_per_s
            moment = Moment(at_s, 1_700_000_000_000_000 + int(at_s * 1e6))
            stack.grow(1 / frames_per_s)
            state.read_metrics(moment, stack.redis(moment))
            if frame % frames_per_s == 0:
                state.read_lab(moment, stack.lab(moment))
                state.slot(moment)
            app.live.post_message(SnapshotChanged(state.snapshot(moment)))
            # Were all of them painted, the hour would take an hour's work.
            await (pilot.pause() if frame % frames_per_s == 0 else asyncio.sleep(0))
            if frame % (frames_per_s * _TELL_EVERY_S) == 0:
                gc.collect()
                sys.stdout.write(f"{at_s / 60:4.0f} min  {process.memory_info().rss / 1e6:6.1f} MB\n")
                sys.stdout.flush()
                if trace and at_s == _TELL_EVERY_S:
                    tracemalloc.start()
                    before = tracemalloc.take_snapshot()
    if before is not None:
        for grown in tracemalloc.take_snapshot().compare_to(before, "lineno")[:_LINES]:
            sys.stdout.write(f"{grown}\n")


def main() -> None:
    """Draw an hour, or as many as are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=1)
    parser.add_argument("--frames-per-s", type=int, default=10)
    parser.add_argument("--trace", action="store_true")
    given = parser.parse_args()
    asyncio.run(draw(given.hours, given.frames_per_s, trace=given.trace))


if __name__ == "__main__":
    main()
