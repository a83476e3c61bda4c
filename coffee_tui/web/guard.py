"""Who may reach the dashboard in a browser: pages of this server alone, under a name that it is known by."""

import ipaddress
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

_LOCAL = "localhost"


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address is this machine's own."""
    if host == _LOCAL:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def refusal(bound_to: str, host: str, origin: str | None) -> str:
    """Say why a request is refused; empty where it is not.

    ``bound_to`` is the address that is listened on, ``host`` and ``origin`` are the request's headers. A page of
    another site may open a websocket to any address: only its origin tells. And a name of its own may lead to
    loopback (DNS rebinding): there, only loopback's names are answered.
    """
    name = urlsplit(f"//{host}").hostname or ""
    if is_loopback(bound_to) and not is_loopback(name):
        return "this dashboard is for its own machine alone"
    if origin is not None and urlsplit(origin).netloc != host:
        return "this dashboard is not for pages of another site"
    return ""


def guard(bound_to: str) -> Middleware:
    """Return what lets the right requests through and answers 403 to the others."""

    @web.middleware
    async def let_through(request: web.Request, handler: Handler) -> web.StreamResponse:
        if why := refusal(bound_to, request.host, request.headers.get("Origin")):
            return web.Response(status=403, text=f"{why}\n")
        return await handler(request)

    return let_through
