"""The dashboard's application: starts the side tasks, ends with them."""

from typing import ClassVar

from textual.app import App
from textual.binding import Binding, BindingType

from coffee_core.pipelines import Pipeline
from coffee_tui.feed.live import Feed
from coffee_tui.feed.orders import Orders
from coffee_tui.feed.orders_view import OrdersView
from coffee_tui.feed.snapshot import Snapshot
from coffee_tui.messages import Fed, Ordered
from coffee_tui.screens.live import LiveScreen


class CoffeeApp(App[None]):
    """Three pipelines, live. The feed and the orders are given: live ones, or a test's own."""

    TITLE = "coffee-rt"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+c", "quit", show=False, priority=True)]

    def __init__(self, pipelines: tuple[Pipeline, ...], feed: Feed, orders: Orders) -> None:
        super().__init__()
        self._feed = feed
        self._orders = orders
        self.live = LiveScreen(pipelines, orders)

    async def on_mount(self) -> None:
        """Show the screen; the side tasks start after its first paint."""
        await self.push_screen(self.live)
        self.live.call_after_refresh(self._start)

    def _start(self) -> None:
        # A worker that fails ends the application with its error: nothing vanishes.
        self.run_worker(self._feed.run(self._fed), name="feed", exit_on_error=True)
        self.run_worker(self._orders.run(self._ordered), name="orders", exit_on_error=True)

    def _fed(self, snapshot: Snapshot) -> None:
        self.live.post_message(Fed(snapshot))

    def _ordered(self, orders: OrdersView) -> None:
        self.live.post_message(Ordered(orders))
