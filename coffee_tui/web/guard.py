"""Who may reach the dashboard in a browser: pages of this server alone, under a name that it is known by."""

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from coffee_core.same_site import refusal


def guard(bound_to: str) -> Middleware:
    """Return what lets the right requests through and answers 403 to the others."""

    @web.middleware
    async def let_through(request: web.Request, handler: Handler) -> web.StreamResponse:
        if why := refusal(bound_to, request.host, request.headers.get("Origin")):
            return web.Response(status=403, text=f"{why}\n")
        return await handler(request)

    return let_through
