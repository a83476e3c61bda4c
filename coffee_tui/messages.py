"""What the side tasks tell the screen."""

from textual.message import Message

from coffee_tui.feed.orders_view import OrdersView
from coffee_tui.feed.snapshot import Snapshot


class Fed(Message):
    """The feed has a newer snapshot; it replaces one that still waits in the queue."""

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__()
        self.snapshot = snapshot

    def can_replace(self, message: Message) -> bool:
        """Tell that only the newest snapshot matters."""
        return isinstance(message, Fed)


class Ordered(Message):
    """The order panel has news; it replaces older ones that still wait in the queue."""

    def __init__(self, orders: OrdersView) -> None:
        super().__init__()
        self.orders = orders

    def can_replace(self, message: Message) -> bool:
        """Tell that only the newest view matters."""
        return isinstance(message, Ordered)
