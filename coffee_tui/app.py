"""The dashboard's application: starts the side tasks, ends with them."""

from collections.abc import Iterable
from functools import partial
from itertools import chain
from typing import Any, ClassVar

from textual.app import SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen

from coffee_tui.data.recording import Recorder
from coffee_tui.data.snapshot import OrdersView, Snapshot
from coffee_tui.data.sources import Sources
from coffee_tui.keymap import BoundApp, Keymap, key_name
from coffee_tui.screens.base_screen import CLOSE, HELP, BaseScreen, Page
from coffee_tui.screens.live import KEYS, LiveScreen, OrdersChanged, SnapshotChanged
from coffee_tui.theme import ThemedApp
from coffee_tui.tour import HOLD_S


def screens() -> dict[str, list[Binding]]:
    """Return the keys of each screen by its name, Live first."""
    pages: dict[str, list[Binding]] = {"live": list(KEYS)}
    for page in Page.__subclasses__():
        name = page.__name__.removesuffix("Screen").removeprefix("Sent").lower()
        pages[name] = [*page.KEYS, *page.COMMON_KEYS, HELP, CLOSE]
    return pages


class CoffeeApp(BoundApp, ThemedApp):
    """The pipelines, live. Its sources are given: a stack, a recording, or a test's own."""

    TITLE = "coffee-rt"
    CSS_PATH = "app.tcss"
    ENABLE_COMMAND_PALETTE = True
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+c", "quit", show=False, priority=True)]

    def __init__(
        self,
        sources: Sources,
        recorder: Recorder | None = None,
        *,
        welcome: bool = False,
        keys: Keymap | None = None,
        tour: bool = False,
        auto_speed: float | None = None,
    ) -> None:
        super().__init__()
        self.bind_keys(keys or {}, chain.from_iterable(screens().values()))
        self._sources = sources
        self._recorder = recorder
        self._begins_with_tour, self._auto_speed = tour, auto_speed
        self.live = LiveScreen(sources, welcome=welcome)

    async def on_mount(self) -> None:
        """Show the screen; the side tasks start after its first paint."""
        await self.push_screen(self.live)
        self.live.call_after_refresh(self._start)

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """Return every action of the screen by name, for the command palette."""
        on = screen if isinstance(screen, BaseScreen) else self.live
        for key in on.shown_keys():
            if key.action != "app.command_palette":
                run = partial(on.run_action, key.action)
                yield SystemCommand(key.tooltip or key.description, f"key {key_name(key)}", run)

    def _start(self) -> None:
        # A worker that fails ends the application with its error: nothing vanishes.
        self.run_worker(self._sources.feed.run(self._show_snapshot), name="feed", exit_on_error=True)
        self.run_worker(self._sources.orders.run(self._show_orders), name="orders", exit_on_error=True)
        if self._begins_with_tour:
            self.run_worker(self._talk(), name="tour", exit_on_error=True)

    async def _talk(self) -> None:
        hold_s = None if self._auto_speed is None else HOLD_S / self._auto_speed
        await self.live.talk(hold_s)
        if hold_s is not None:
            self.exit(return_code=0)

    def _show_snapshot(self, snapshot: Snapshot) -> None:
        if self._recorder is not None:
            self._recorder.write(snapshot)
        self.live.post_message(SnapshotChanged(snapshot))

    def _show_orders(self, orders: OrdersView) -> None:
        if self._recorder is not None:
            self._recorder.write(orders)
        self.live.post_message(OrdersChanged(orders))
