"""Record the demo on a running lab, without a screen: ``python -m tests.integration.coffee_tui.record_demo FILE``.

What the talk shows is in it: an order into each pipeline, a load, a burst, a killed worker, a killed TaskManager,
a flush of the metrics, a replay, the end of the load. On a machine that does nothing else, right after
``coffee up --pipelines v1,v2,v3`` in an empty COFFEE_HOME; then draw the README's picture again (``still``).
"""

import argparse
import asyncio
from dataclasses import replace
from pathlib import Path

from coffee_core.tasks import end_tasks
from coffee_tui.data import sources
from coffee_tui.data.load_plan import LoadPlan
from coffee_tui.data.recording import Recorder
from coffee_tui.data.snapshot import OrdersView, Snapshot
from tests.waiting import until

_RATE_PER_S = 50.0
_FAULTS = ("kill-stream-worker", "kill-flink-taskmanager", "flush-metrics", "replay-v3")
_LOOK_S, _END_S = 2.5, 5.0
"""Seconds between two things that happen, and after the last one."""


class Session:
    """What is recorded, and what of it was the last."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self.snapshot, self.orders = Snapshot(), OrdersView()

    def show(self, snapshot: Snapshot) -> None:
        """Take a snapshot."""
        self.snapshot = snapshot
        self._recorder.write(snapshot)

    def show_orders(self, orders: OrdersView) -> None:
        """Take a view of the orders."""
        self.orders = orders
        self._recorder.write(orders)

    def is_there(self) -> bool:
        """Tell whether everything is up, and its totals are known."""
        views = self.snapshot.pipelines
        return bool(views) and not self.snapshot.coming_up and all(view.orders is not None for view in views)

    def is_level(self) -> bool:
        """Tell whether all that was taken is shown."""
        counts = [view.counts for view in self.snapshot.pipelines]
        return all(each is not None and each.stored == each.shown and not each.drift for each in counts)


async def _act(source: sources.Sources, session: Session) -> None:
    assert source.faults is not None, "it is a stack"
    await until(session.is_there)
    await asyncio.sleep(_LOOK_S)
    source.orders.order(source.pipelines)
    await asyncio.sleep(_LOOK_S)
    source.orders.follow(replace(LoadPlan(), rate_per_s=_RATE_PER_S, pipelines=source.pipelines))
    source.orders.toggle()
    await asyncio.sleep(4 * _LOOK_S)
    source.orders.burst()
    await asyncio.sleep(2 * _LOOK_S)
    for fault in _FAULTS:
        await source.faults.run(fault, no_load=True)
        view = source.faults.view
        if view.trouble or not all(verdict.exact for verdict in view.verdicts):
            raise SystemExit(f"{fault}: {view.trouble or 'not exact'}: record again")
    source.orders.toggle()
    await until(session.is_level)
    await asyncio.sleep(_END_S)


async def record(path: Path) -> None:
    """Record a session of the stack that the settings name."""
    source = sources.live()
    recorder = Recorder(path, source.pipelines)
    session = Session(recorder)
    feed = asyncio.create_task(source.feed.run(session.show))
    orders = asyncio.create_task(source.orders.run(session.show_orders))
    try:
        await _act(source, session)
    finally:
        if source.faults is not None:
            await source.faults.close()
        await end_tasks(feed, orders)
        recorder.close()


def main() -> None:
    """Record one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    asyncio.run(record(parser.parse_args().file))


if __name__ == "__main__":
    main()
