"""The dashboard's application: starts the side tasks, ends with them."""

from typing import ClassVar

from textual.app import App
from textual.binding import Binding, BindingType

from coffee_core.settings import Settings
from coffee_tui.feed.live import Feed
from coffee_tui.feed.snapshot import Snapshot
from coffee_tui.messages import Fed
from coffee_tui.screens.live import LiveScreen


class CoffeeApp(App[None]):
    """Three pipelines, live."""

    TITLE = "coffee-rt"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", "quit"),
        Binding("ctrl+c", "quit", show=False, priority=True),
    ]

    def __init__(self, settings: Settings, feed: Feed) -> None:
        super().__init__()
        self._settings = settings
        self._feed = feed
        self.live = LiveScreen(settings.pipelines)

    async def on_mount(self) -> None:
        """Show the screen; the feed starts after its first paint."""
        await self.push_screen(self.live)
        self.call_after_refresh(self._start)

    def _start(self) -> None:
        # A worker that fails ends the application with its error: nothing vanishes.
        self.run_worker(self._feed.run(self._publish), name="feed", exit_on_error=True)

    def _publish(self, snapshot: Snapshot) -> None:
        self.live.post_message(Fed(snapshot))
