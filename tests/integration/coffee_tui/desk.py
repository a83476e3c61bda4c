"""An app with everything noted that its keys and clicks ask for."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Input

from coffee_tui.app import CoffeeApp
from coffee_tui.data.connection import Attachment
from coffee_tui.data.faults import FaultInfo, FaultView, Phase
from coffee_tui.data.recording import Player
from coffee_tui.data.sources import Sources
from tests.integration.coffee_tui import page_scenes
from tests.unit.coffee_tui.scripted import ALL, NotedOrders, ScriptedFeed
from tests.waiting import until


class NotedFaults(page_scenes.StagedFaults):
    """Notes what is to be broken."""

    def __init__(self, attachment: Attachment) -> None:
        super().__init__(attachment)
        self.view = FaultView()
        self._menu.append(FaultInfo("network-reset", "it is made anew", links=("api:redis",)))
        self.asked: list[str] = []

    async def run(self, name: str, link: str = "", *, no_load: bool = False) -> None:
        self.asked.append(name)
        self.view = FaultView(name, Phase.STRUCK, struck_s=0.0)

    def cancel(self) -> None:
        self.asked.append("cancel")


@dataclass
class Desk:
    """An app with everything noted that its keys ask for."""

    app: CoffeeApp
    orders: NotedOrders
    faults: NotedFaults
    player: Player
    folder: Path
    pilot: Pilot[Any]

    def at(self, screen: type[Screen[Any]]) -> bool:
        """Tell whether a screen is on top."""
        return isinstance(self.app.screen, screen)

    def asked(self, what: object) -> bool:
        """Tell whether that alone was asked of the orders."""
        return self.orders.asked == [what]

    @property
    def on_live(self) -> bool:
        return self.app.screen is self.app.live

    @property
    def field_is_open(self) -> bool:
        return self.app.screen.query_one(Input).has_focus


@asynccontextmanager
async def desk_at(folder: Path, opened_by: str, size: tuple[int, int] = (80, 24)) -> AsyncIterator[Desk]:
    """Open a screen."""
    stack = page_scenes.attachment(folder)
    orders, faults, player = NotedOrders(), NotedFaults(stack), Player([])
    page_scenes.sent(orders.journal)
    app = CoffeeApp(Sources(ALL, ScriptedFeed(), orders, player, stack, faults))
    async with app.run_test(size=size) as pilot:
        await until(lambda: app.live.is_current)
        if opened_by:
            await pilot.press(opened_by)
            await until(lambda: app.screen is not app.live)
            await pilot.pause()
        yield Desk(app, orders, faults, player, folder, pilot)
