"""Whether the dashboard's memory is flat: an hour of snapshots, ten a second, as fast as they can be drawn.

Run by hand: ``python -m tests.integration.tui.bench_hour``; it writes the memory after every five minutes of it.
"""

import asyncio
import gc
import sys

import psutil

from coffee_core.pipelines import Pipeline
from coffee_tui.app import CoffeeApp
from coffee_tui.feed.board import Board
from coffee_tui.feed.clock import Moment
from coffee_tui.feed.live import LIVE
from coffee_tui.feed.sources import Sources
from coffee_tui.messages import Fed
from tests.integration.tui.bench import Stack
from tests.unit.tui.scripted import NotedOrders, ScriptedFeed

_FRAMES_PER_S, _SPAN_S, _TELL_EVERY_S = 10, 3_600, 300


async def main() -> None:
    """Draw the hour."""
    app = CoffeeApp(Sources(tuple(Pipeline), ScriptedFeed(), NotedOrders()))
    stack, board, process = Stack(1_000), Board(tuple(Pipeline)), psutil.Process()
    board.mode = LIVE
    async with app.run_test(size=(168, 44)) as pilot:
        for frame in range(_FRAMES_PER_S * _SPAN_S):
            at_s = frame / _FRAMES_PER_S
            moment = Moment(at_s, 1_700_000_000_000_000 + int(at_s * 1e6))
            stack.grow(1 / _FRAMES_PER_S)
            board.read_metrics(moment, stack.redis(moment))
            if frame % _FRAMES_PER_S == 0:
                board.read_lab(moment, stack.lab(moment))
                board.slot(moment)
            app.live.post_message(Fed(board.snapshot(moment)))
            # Every tenth is painted, or else the hour would take an hour's work.
            await (pilot.pause() if frame % _FRAMES_PER_S == 0 else asyncio.sleep(0))
            if frame % (_FRAMES_PER_S * _TELL_EVERY_S) == 0:
                gc.collect()
                sys.stdout.write(f"{at_s / 60:4.0f} min  {process.memory_info().rss / 1e6:6.1f} MB\n")
                sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
