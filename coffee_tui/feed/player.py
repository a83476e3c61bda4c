"""Plays a recording as if it were a stack: a feed and orders, with speed, pause and step."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace

from coffee_core.pipelines import Pipeline
from coffee_tui.feed.journal import Journal
from coffee_tui.feed.live import Publish
from coffee_tui.feed.load_plan import LoadPlan
from coffee_tui.feed.memory import Memory
from coffee_tui.feed.orders import PublishOrders
from coffee_tui.feed.orders_view import OrdersView
from coffee_tui.feed.recording import Frame
from coffee_tui.feed.snapshot import Snapshot

SPEEDS = (0.25, 0.5, 1.0, 2.0, 5.0, 20.0)
"""Speeds that can be chosen."""
_PAUSE_AT_END_S = 3.0
_REFUSAL = "a recording takes no orders: start a lab with `coffee up`"


class Player:
    """Publishes frames at their time. It is the feed and the orders of the app at once."""

    def __init__(self, frames: Sequence[Frame], *, speed: float = 1.0, again: bool = False) -> None:
        self._frames = frames
        self._again = again
        self.speed = speed
        self.paused = False
        self._next = 0
        self._moved = asyncio.Event()
        self._snapshot: Snapshot | None = None
        self._publish: Publish | None = None
        self.orders = PlayedOrders()
        """What the keys of the order panel reach."""

    async def run(self, publish: Publish) -> None:
        """Publish until cancelled; at the end stay there, or begin again."""
        self._publish = publish
        while True:
            await self._play()
            if not self._again:
                await asyncio.Event().wait()
            await asyncio.sleep(_PAUSE_AT_END_S)
            self._next = 0

    async def _play(self) -> None:
        while self._next < len(self._frames):
            frame = self._frames[self._next]
            before_s = self._frames[max(0, self._next - 1)].at_s
            if await self._reached(frame.at_s - before_s):
                self._next += 1
                self._show(frame)

    async def _reached(self, span_s: float) -> bool:
        """Wait for a span of the recording; return False where speed or pause changed meanwhile."""
        self._moved.clear()
        wait_s = None if self.paused else span_s / self.speed
        try:
            async with asyncio.timeout(wait_s):
                await self._moved.wait()
        except TimeoutError:
            return True
        return False

    def _show(self, frame: Frame) -> None:
        if isinstance(frame.value, OrdersView):
            self.orders.show(frame.value)
        else:
            self._snapshot = frame.value
            self._say()

    def _say(self) -> None:
        if self._snapshot is None or self._publish is None:
            return
        pace = "paused" if self.paused else f"×{self.speed:g}"
        at = self._frames[max(0, self._next - 1)].at_s
        self._publish(replace(self._snapshot, mode=f"recording {at:3.0f} s {pace}"))

    def pause(self) -> None:
        """Pause, or go on."""
        self.paused = not self.paused
        self._change()

    def faster(self, steps: int) -> None:
        """Choose a speed so many steps up or down."""
        at = min(range(len(SPEEDS)), key=lambda index: abs(SPEEDS[index] - self.speed)) + steps
        self.speed = SPEEDS[min(len(SPEEDS) - 1, max(0, at))]
        self._change()

    def step(self) -> None:
        """Pause and show the next snapshot."""
        self.paused = True
        while self._next < len(self._frames):
            frame = self._frames[self._next]
            self._next += 1
            self._show(frame)
            if isinstance(frame.value, Snapshot):
                break
        self._change()

    def _change(self) -> None:
        self._moved.set()
        self._say()


class PlayedOrders:
    """The order panel of a recording: shows what was sent then, and sends nothing."""

    def __init__(self) -> None:
        self._view = OrdersView()
        self._publish: PublishOrders | None = None
        self._tried = False
        self.journal = Journal()

    async def run(self, publish: PublishOrders) -> None:
        """Publish until cancelled."""
        self._publish = publish
        publish(self._view)
        await asyncio.Event().wait()

    def show(self, view: OrdersView) -> None:
        """Show what the recording says; once somebody has tried to send an order, that it takes none."""
        self._view = view
        if self._publish is not None:
            self._publish(replace(view, trouble=_REFUSAL) if self._tried else view)

    def _refuse(self) -> None:
        self._tried = True
        self.show(self._view)

    def begin_with(self, memory: Memory) -> None:  # noqa: ARG002
        """Begin with what the recording says, whatever was chosen last."""
        self.show(self._view)

    def order(self, pipelines: Iterable[Pipeline]) -> None:  # noqa: ARG002
        """Say that a recording takes no orders."""
        self._refuse()

    def toggle(self) -> None:
        """Say that a recording takes no orders."""
        self._refuse()

    def change_rate(self, steps: int) -> None:  # noqa: ARG002
        """Say that a recording takes no orders."""
        self._refuse()

    def choose(self, pipelines: tuple[Pipeline, ...]) -> None:  # noqa: ARG002
        """Say that a recording takes no orders."""
        self._refuse()

    def follow(self, plan: LoadPlan) -> None:  # noqa: ARG002
        """Say that a recording takes no orders."""
        self._refuse()

    def burst(self) -> None:
        """Say that a recording takes no orders."""
        self._refuse()
