"""A feed and orders that do what a test says, for the app's own tests."""

import asyncio
from collections.abc import Iterable, Mapping

from textual._context import visible_screen_stack
from textual.strip import Strip

from coffee_core.menu import DRINKS, STORES
from coffee_core.pipelines import DEFAULT_PIPELINES, Pipeline
from coffee_tui.app import CoffeeApp
from coffee_tui.data.live import Publish
from coffee_tui.data.load_plan import LoadPlan
from coffee_tui.data.orders import Journal, PublishOrders
from coffee_tui.data.preferences import Preferences
from coffee_tui.data.snapshot import (
    Health,
    Link,
    OrdersView,
    PartView,
    PipelineView,
    Quantiles,
    Snapshot,
    Stage,
    StatusLine,
)
from coffee_tui.data.sources import Sources

ALL = DEFAULT_PIPELINES
NOW_US = 1_700_000_000_000_000
UP = Link(True, NOW_US)


def column(pipeline: Pipeline, orders: int = 12_406, status: StatusLine | None = None) -> PipelineView:
    """Return a column with figures in every place."""
    return PipelineView(
        pipeline,
        orders,
        5_831_050,
        tuple((drink, 5_210 - 900 * index) for index, drink in enumerate(DRINKS)),
        tuple((store, 3_845 - 400 * index) for index, store in enumerate(STORES)),
        204.0,
        Quantiles(900, 3_800),
        Quantiles(3_100, 9_800),
        (200.0,) * 60,
        (3_800.0,) * 60,
        (9_800.0,) * 60,
        None,
        tuple(Stage(stage.label, Health.GOOD) for stage in pipeline.info.chain),
        status or StatusLine(f"all is well with {pipeline}"),
    )


def snapshot(**changes: object) -> Snapshot:
    """Return a snapshot of a healthy stack."""
    values: dict[str, object] = {
        "pipelines": tuple(column(pipeline) for pipeline in DEFAULT_PIPELINES),
        "redis": UP,
        "api": UP,
        "mode": "live",
        "parts": (PartView("postgres", Health.GOOD, "up"), PartView("flink-jobmanager", Health.GOOD, "up")),
        "uptime_s": 761,
    }
    return Snapshot(**{**values, **changes})  # type: ignore[arg-type]


class ScriptedFeed:
    """Publishes what a test puts in, and fails where it puts in an error."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Snapshot | Exception] = asyncio.Queue()
        self.ended = False

    async def run(self, publish: Publish) -> None:
        try:
            while True:
                item = await self.queue.get()
                if isinstance(item, Exception):
                    raise item
                publish(item)
        finally:
            self.ended = True


class NotedOrders:
    """Notes what the keys ask for."""

    def __init__(self) -> None:
        self.asked: list[object] = []
        self.journal = Journal()
        self.views: asyncio.Queue[OrdersView] = asyncio.Queue()
        self.ended = False

    async def run(self, publish: PublishOrders) -> None:
        try:
            while True:
                publish(await self.views.get())
        finally:
            self.ended = True

    def order(self, pipelines: Iterable[Pipeline]) -> None:
        self.asked.append(("order", *pipelines))

    def restore(self, memory: Preferences) -> None:
        self.asked.append(("begin", memory))

    def toggle(self) -> None:
        self.asked.append("toggle")

    def change_rate(self, steps: int) -> None:
        self.asked.append(("rate", steps))

    def choose(self, pipelines: tuple[Pipeline, ...]) -> None:
        self.asked.append(("choose", *pipelines))

    def follow(self, plan: LoadPlan) -> None:
        plan.check()
        self.asked.append(plan)

    def burst(self) -> None:
        self.asked.append("burst")


def app(
    keys: Mapping[str, str] | None = None, pipelines: tuple[Pipeline, ...] = ALL
) -> tuple[CoffeeApp, ScriptedFeed, NotedOrders]:
    """Return an app with a scripted feed and noted orders."""
    feed, orders = ScriptedFeed(), NotedOrders()
    return CoffeeApp(Sources(pipelines, feed, orders), keys=keys), feed, orders


def screen_strips(running: CoffeeApp) -> list[Strip]:
    """Return what is on the screen, row by row."""
    # Else what lies below a form is drawn as nothing, and kept so for the next who draws it.
    visible_screen_stack.set(running._background_screens)
    return running.screen._compositor.render_strips()


def screen_text(running: CoffeeApp) -> str:
    """Return what is on the screen, as text."""
    return "\n".join(strip.text.rstrip() for strip in screen_strips(running))
