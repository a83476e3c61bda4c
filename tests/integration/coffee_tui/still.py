"""The README's picture: Live at a second of the demo, ``python -m tests.integration.coffee_tui.still 28``."""

import argparse
import asyncio
from importlib.resources import as_file, files
from pathlib import Path

from coffee_tui.app import CoffeeApp
from coffee_tui.data.recording import read_recording
from coffee_tui.data.snapshot import OrdersView, Snapshot
from coffee_tui.data.sources import DEMO, Sources
from coffee_tui.widgets.screenshot import picture
from tests.unit.coffee_tui.scripted import NotedOrders, ScriptedFeed
from tests.waiting import until

_CELLS, _ROWS = 168, 48
_STILL = Path(__file__).parents[3] / "docs" / "live.svg"


async def drawn(at_s: float) -> str:
    """Return the screen as it stood at a second of the recording, as SVG."""
    with as_file(files("coffee_tui") / DEMO) as path:
        pipelines, frames = read_recording(path)
    values = [frame.value for frame in frames if frame.at_s <= at_s]
    snapshot = next(value for value in reversed(values) if isinstance(value, Snapshot))
    orders = next(value for value in reversed(values) if isinstance(value, OrdersView))
    feed, noted = ScriptedFeed(), NotedOrders()
    app = CoffeeApp(Sources(pipelines, feed, noted))
    async with app.run_test(size=(_CELLS, _ROWS)) as pilot:
        noted.views.put_nowait(orders)
        # The first that was up, or else a part that is broken now would be one that has yet to come up.
        feed.queue.put_nowait(next(each for each in values if isinstance(each, Snapshot) and each.parts))
        feed.queue.put_nowait(snapshot)
        await until(lambda: app.live.snapshot == snapshot and app.live.orders == orders)
        await pilot.pause()
        return picture(app)


def main() -> None:
    """Draw one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("at_s", type=float, help="second of the recording")
    parser.add_argument("--out", type=Path, default=_STILL)
    given = parser.parse_args()
    given.out.write_text(asyncio.run(drawn(given.at_s)), encoding="utf-8")


if __name__ == "__main__":
    main()
