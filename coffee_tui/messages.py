"""What the side tasks tell the screen."""

from textual.message import Message

from coffee_tui.feed.snapshot import Snapshot


class Fed(Message):
    """The feed has a newer snapshot; it replaces one that still waits in the queue."""

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__()
        self.snapshot = snapshot

    def can_replace(self, message: Message) -> bool:
        """Tell that only the newest snapshot matters."""
        return isinstance(message, Fed)
