"""Writes what the screens show of four pipelines: run with ``COFFEE_PIPELINE_PACKAGES=tests.toy_pipeline``."""

import asyncio
import json

from coffee_core.pipelines import DEFAULT_PIPELINES, pipeline_named
from coffee_tui.app import CoffeeApp
from coffee_tui.data.sources import Sources
from coffee_tui.widgets.orders import order_key
from tests.unit.coffee_tui.scripted import NotedOrders, ScriptedFeed, column, screen_text, snapshot
from tests.waiting import until


async def _screens() -> dict[str, object]:
    feed, orders = ScriptedFeed(), NotedOrders()
    four = (*DEFAULT_PIPELINES, pipeline_named("toy"))
    app = CoffeeApp(Sources(four, feed, orders))
    async with app.run_test(size=(160, 48)) as pilot:
        feed.queue.put_nowait(snapshot(pipelines=tuple(column(each) for each in four)))
        await until(lambda: "all is well with toy" in screen_text(app))
        live = screen_text(app)
        await pilot.press(order_key(four[-1]), "a", "c")
        await until(lambda: "Compare" in screen_text(app))
        compare = app.screen.copied()  # type: ignore[attr-defined]
        await pilot.press("escape")
        await pilot.resize_terminal(130, 48)
        await until(lambda: "all is well with v2" not in screen_text(app))
        return {"live": live, "compare": compare, "narrow": screen_text(app), "asked": orders.asked}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_screens())))  # noqa: T201
