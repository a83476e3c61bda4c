"""uvicorn's websocket protocol with a limit to what a client can make it answer."""

from uvicorn.protocols.websockets.wsproto_impl import WSProtocol
from wsproto.events import Ping


class LimitedWSProtocol(WSProtocol):
    """Answers no ping of a client that does not read: each would wait in memory."""

    def handle_ping(self, event: Ping) -> None:
        """Answer a ping; a later one may stand for those before it."""
        if self.writable.is_set():
            super().handle_ping(event)
