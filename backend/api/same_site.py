"""Where no token is asked for: no page of another site reads or writes (pure ASGI middleware)."""

from collections.abc import Awaitable

from starlette.types import ASGIApp, Receive, Scope, Send

from backend.api.guard import refuse
from backend.api.kinds import MISDIRECTED
from backend.api.problems import ProblemError
from coffee_core.same_site import refusal

_MOST_KNOWN = 100
"""Most names that were found good and are remembered."""


class SameSite:
    """Lets through what no page of another site can have sent."""

    def __init__(self, app: ASGIApp, bound_to: str) -> None:
        """``bound_to`` is the address that the API listens on."""
        self._app = app
        self._bound_to = bound_to
        self._known: set[bytes] = set()

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Pass one request on, or refuse it."""
        if scope["type"] == "lifespan":
            return self._app(scope, receive, send)
        host = _header(scope, b"host") or b""
        # Of other requests' answers a page of another site sees nothing: no CORS header is ever sent.
        origin = _header(scope, b"origin") if scope["type"] == "websocket" else None
        if origin is None and host in self._known:
            return self._app(scope, receive, send)
        why = refusal(self._bound_to, host.decode("latin-1"), None if origin is None else origin.decode("latin-1"))
        if why:
            return refuse(scope, send, ProblemError(MISDIRECTED, f"{why}, or set COFFEE_API_TOKEN"))
        if len(self._known) < _MOST_KNOWN:
            self._known.add(host)
        return self._app(scope, receive, send)


def _header(scope: Scope, wanted: bytes) -> bytes | None:
    for name, value in scope["headers"]:
        if name == wanted:
            found: bytes = value
            return found
    return None
