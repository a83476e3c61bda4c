"""What the dashboard costs; run by hand, ``python -m tests.integration.tui.bench``: it asserts no time.

The app runs in a terminal of its own, fed by a board as a stack of 1,000 orders a second (or an idle one) would
feed it; its process is measured from outside. ``--profile`` writes what cProfile saw instead.
"""

import argparse
import asyncio
import cProfile
import json
import os
import pty
import random
import struct
import sys
import termios
import threading
import time
from fcntl import ioctl
from pathlib import Path

import psutil

from coffee_core.latency import bucket_of
from coffee_core.menu import DRINKS, STORES
from coffee_core.pipelines import Pipeline
from coffee_core.runstate import PartState, State
from coffee_tui.app import CoffeeApp
from coffee_tui.feed.board import Board
from coffee_tui.feed.clock import Moment
from coffee_tui.feed.live import LIVE, Publish
from coffee_tui.feed.readings import Cost, LabReading, MetricsReading, RedisReading
from coffee_tui.feed.snapshot import Account, Snapshot
from coffee_tui.feed.sources import Sources
from tests.unit.tui.scripted import NotedOrders

_PARTS = ("cafe-order-aggregator", "cafe-order-api", "flink-job", "kafka", "postgres", "redis", "stream-worker")
_V1_RUN_S = 10.0
_FRAME = b"\x1b[?2026h"
"""What begins a synchronized update of the terminal."""


class Stack:
    """Readings of a stack that takes so many orders a second into each pipeline."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._random = random.Random(1)
        self.orders = dict.fromkeys(Pipeline, 10_000.0)
        self._latency: dict[Pipeline, dict[int, int]] = {each: {} for each in Pipeline}

    def grow(self, span_s: float) -> None:
        """Let some time pass."""
        for each in Pipeline:
            self.orders[each] += self._rate * span_s
            if self._rate:
                bucket = bucket_of(self._random.randrange(2_000, 30_000))
                counts = self._latency[each]
                counts[bucket] = counts.get(bucket, 0) + int(self._rate * span_s)

    def redis(self, moment: Moment) -> RedisReading:
        """Return what Redis would say; v1 as its last run left it."""
        return RedisReading({each: self._metrics(each, moment) for each in Pipeline}, int(self._rate / 100))

    def _metrics(self, pipeline: Pipeline, moment: Moment) -> MetricsReading:
        since_s = moment.at_s % _V1_RUN_S if pipeline is Pipeline.V1 else 0.0
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
            accounts={name: Account(count, count, count, 3, 0, 0, 0, 0, 0) for name, count in counts.items()},
            costs={name: Cost(0.07 if self._rate else 0.01, 96_000_000) for name in _PARTS},
        )


class BoardFeed:
    """Publishes what a board makes of the readings, as the live feed does."""

    def __init__(self, rate: float, frame_s: float) -> None:
        self._stack = Stack(rate)
        self._frame_s = frame_s
        self._board = Board(tuple(Pipeline))
        self._board.mode = LIVE

    async def run(self, publish: Publish) -> None:
        last: Snapshot | None = None
        second = 0
        while True:
            moment = Moment()
            self._stack.grow(self._frame_s)
            self._board.read_metrics(moment, self._stack.redis(moment))
            if int(moment.at_s) != second:
                second = int(moment.at_s)
                self._board.read_lab(moment, self._stack.lab(moment))
                self._board.slot(moment)
            snapshot = self._board.snapshot(moment)
            if snapshot != last:
                publish(snapshot)
                last = snapshot
            await asyncio.sleep(self._frame_s)


def _app(rate: float) -> CoffeeApp:
    return CoffeeApp(Sources(tuple(Pipeline), BoardFeed(rate, 0.1 if rate else 1.0), NotedOrders()))


def _child(rate: float, cells: int, rows: int) -> tuple[int, int]:
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ |= {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
        _app(rate).run()
        os._exit(0)
    ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cells, 0, 0))
    return pid, terminal


def measure(rate: float, cells: int, rows: int, span_s: float, warm_s: float = 5.0) -> dict[str, float]:
    """Run the app for a while in its own terminal; return per cent of a core, kB/s written, MB of memory."""
    pid, terminal = _child(rate, cells, rows)
    written = frames = 0

    def drain() -> None:
        nonlocal written, frames
        try:
            while chunk := os.read(terminal, 1 << 16):
                written += len(chunk)
                frames += chunk.count(_FRAME)
        except OSError:
            return  # the terminal is closed

    threading.Thread(target=drain, daemon=True).start()
    process = psutil.Process(pid)
    time.sleep(warm_s)
    before, bytes_before, frames_before, began_s = process.cpu_times(), written, frames, time.monotonic()
    time.sleep(span_s)
    after, took_s = process.cpu_times(), time.monotonic() - began_s
    used_s = after.user + after.system - before.user - before.system
    found = {
        "rate": rate,
        "cells": cells,
        "rows": rows,
        "cpu_percent": round(100 * used_s / took_s, 2),
        "frames_per_s": round((frames - frames_before) / took_s, 2),
        "written_kB_s": round((written - bytes_before) / took_s / 1e3, 1),
        "memory_MB": round(process.memory_info().rss / 1e6, 1),
    }
    os.write(terminal, b"q")
    os.waitpid(pid, 0)
    return found


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
    given = parser.parse_args()
    for rate in given.rate:
        if given.profile:
            asyncio.run(_profiled(rate, *given.size, given.seconds, given.profile))
        else:
            sys.stdout.write(json.dumps(measure(rate, *given.size, given.seconds)) + "\n")


if __name__ == "__main__":
    main()
