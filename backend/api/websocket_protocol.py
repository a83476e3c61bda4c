"""uvicorn's websocket protocol with a limit to what a client can make it answer, and a closed door to the rest."""

from uvicorn.protocols.websockets.wsproto_impl import WSProtocol
from wsproto.events import Ping

_REFUSED = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class LimitedWSProtocol(WSProtocol):
    """Answers no ping of a client that does not read: each would wait in memory."""

    def data_received(self, data: bytes) -> None:
        """Read what comes; refuse a handshake whose headers are no text, which wsproto takes for granted."""
        try:
            super().data_received(data)
        except UnicodeError:
            self.transport.write(_REFUSED)
            self.transport.close()

    def handle_ping(self, event: Ping) -> None:
        """Answer a ping; a later one may stand for those before it."""
        if self.writable.is_set():
            super().handle_ping(event)
