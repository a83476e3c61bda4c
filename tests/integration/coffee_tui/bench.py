"""What the dashboard costs; run by hand, ``python -m tests.integration.coffee_tui.bench``: it asserts no time.

The app runs in a terminal of its own, fed by a board as a stack of 1,000 orders a second (or an idle one) would
feed it; its process is measured from outside. ``--profile`` writes what cProfile saw instead.
"""

import argparse
import asyncio
import cProfile
import json
import random
import sys
import time
from pathlib import Path

from coffee_core.latency import bucket_of
from coffee_core.menu import DRINKS, STORES
from coffee_core.pipelines import DEFAULT_PIPELINES, Pipeline
from coffee_core.pipelines.constants import V1, V2
from coffee_core.runstate import Cost, PartState, State
from coffee_core.totals import PipelineCounts
from coffee_tui.app import CoffeeApp
from coffee_tui.data.history import Moment
from coffee_tui.data.live import LIVE, Publish
from coffee_tui.data.readings import LabReading, MetricsReading, RedisReading
from coffee_tui.data.snapshot import Snapshot
from coffee_tui.data.sources import Sources
from coffee_tui.data.state import DashboardState
from tests.integration.coffee_tui.bench_terminal import BenchTerminal
from tests.unit.coffee_tui.scripted import NotedOrders

_PARTS = ("cafe-order-aggregator", "cafe-order-api", "flink-job", "kafka", "postgres", "redis", "stream-worker")
_V1_RUN_S = 10.0


class Stack:
    """Readings of a stack that takes so many orders a second into each pipeline."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._random = random.Random(1)
        self.orders = dict.fromkeys(DEFAULT_PIPELINES, 10_000.0)
        self._latency: dict[Pipeline, dict[int, int]] = {each: {} for each in DEFAULT_PIPELINES}

    def grow(self, span_s: float) -> None:
        """Let some time pass."""
        for each in DEFAULT_PIPELINES:
            self.orders[each] += self._rate * span_s
            if self._rate:
                bucket = bucket_of(self._random.randrange(2_000, 30_000))
                counts = self._latency[each]
                counts[bucket] = counts.get(bucket, 0) + int(self._rate * span_s)

    def redis(self, moment: Moment) -> RedisReading:
        """Return what Redis would say; v1 as its last run left it."""
        return RedisReading(
            {each: self._metrics(each, moment) for each in DEFAULT_PIPELINES}, {V2: int(self._rate / 100)}
        )

    def _metrics(self, pipeline: Pipeline, moment: Moment) -> MetricsReading:
        since_s = moment.at_s % _V1_RUN_S if pipeline == V1 else 0.0
        orders = int(self.orders[pipeline] - since_s * self._rate)
        return MetricsReading(
            orders,
            orders * 470,
            dict.fromkeys(DRINKS, orders // 3),
            dict.fromkeys(STORES, orders // 4),
            self._latency[pipeline],
            {"last_update_us": moment.time_us - int(since_s * 1e6) if self._rate else 1_700_000_000_000_000},
        )

    def lab(self, moment: Moment) -> LabReading:
        """Return what the API would say."""
        counts = {str(each): int(orders) for each, orders in self.orders.items()}
        return LabReading(
            uptime_s=moment.at_s,
            ready=dict.fromkeys(counts, True),
            latency={name: self._latency[Pipeline(name)] for name in counts},
            answers={name: {"202": count} for name, count in counts.items()},
            parts=tuple(PartState(name, 1, None, State.UP) for name in _PARTS),
            counts={name: PipelineCounts(count, count, count, 3, 0, 0, 0, 0, 0) for name, count in counts.items()},
            costs={name: Cost(0.07 if self._rate else 0.01, 96_000_000) for name in _PARTS},
        )


class StateFeed:
    """Publishes what a board makes of the readings, as the live feed does."""

    def __init__(self, rate: float, frame_s: float) -> None:
        self._stack = Stack(rate)
        self._frame_s = frame_s
        self._state = DashboardState(DEFAULT_PIPELINES)
        self._state.mode = LIVE

    async def run(self, publish: Publish) -> None:
        last: Snapshot | None = None
        second = 0
        while True:
            moment = Moment()
            self._stack.grow(self._frame_s)
            self._state.read_metrics(moment, self._stack.redis(moment))
            if int(moment.at_s) != second:
                second = int(moment.at_s)
                self._state.read_lab(moment, self._stack.lab(moment))
                self._state.slot(moment)
            snapshot = self._state.snapshot(moment)
            if snapshot != last:
                publish(snapshot)
                last = snapshot
            await asyncio.sleep(self._frame_s)


def _app(rate: float) -> CoffeeApp:
    return CoffeeApp(Sources(DEFAULT_PIPELINES, StateFeed(rate, 0.1 if rate else 1.0), NotedOrders()))


def measure(rate: float, cells: int, rows: int, span_s: float, warm_s: float = 5.0) -> dict[str, float]:
    """Run the app for a while in a terminal of its own; return what it costs."""
    terminal = BenchTerminal(
        ["-m", "tests.integration.coffee_tui.bench", "--child", "--rate", str(rate)], cells, rows
    )
    time.sleep(warm_s)
    found = terminal.cost(span_s)
    terminal.close()
    return {"rate": rate, "cells": cells, "rows": rows, **found}


async def _profiled(rate: float, cells: int, rows: int, span_s: float, out: Path) -> None:
    app = _app(rate)
    async with app.run_test(size=(cells, rows)):
        await asyncio.sleep(2)
        profile = cProfile.Profile(time.process_time)
        profile.enable()
        await asyncio.sleep(span_s)
        profile.disable()
        profile.dump_stats(out)


def main() -> None:
    """Measure, or profile."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, nargs="*", default=[0, 1_000], help="orders per second")
    parser.add_argument("--size", type=int, nargs=2, default=[168, 44], metavar=("CELLS", "ROWS"))
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--profile", type=Path)
    parser.add_argument("--child", action="store_true", help="be the app that is measured")
    given = parser.parse_args()
    for rate in given.rate:
        if given.child:
            _app(rate).run()
        elif given.profile:
            asyncio.run(_profiled(rate, *given.size, given.seconds, given.profile))
        else:
            sys.stdout.write(json.dumps(measure(rate, *given.size, given.seconds)) + "\n")


if __name__ == "__main__":
    main()
