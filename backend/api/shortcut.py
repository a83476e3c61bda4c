"""In front of the routes: orders go straight to their endpoint (pure ASGI middleware).

They are nearly all that is asked, and middleware, routes and their patterns cost more than reading an order does.
"""

from collections.abc import Iterable

from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from backend.api import problems
from backend.api.kinds import INTERNAL
from backend.api.order_endpoint import answer
from backend.api.problems import ProblemError
from backend.api.request_ids import request_id


class Shortcut:
    """Knows the routes of POST without a parameter by their path; everything else goes on."""

    def __init__(self, app: ASGIApp, routes: Iterable[Route]) -> None:
        self._app = app
        self._routes = {route.path: route for route in routes}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on."""
        route = self._routes.get(scope["path"]) if scope.get("method") == "POST" else None
        if route is None:
            await self._app(scope, receive, send)
            return
        scope["route"] = route
        try:
            await route.app(scope, receive, send)
        except Exception:
            body = problems.body(ProblemError(INTERNAL, "The log of the API says more"), request_id(scope))
            await answer(send, INTERNAL.status, problems.headers(INTERNAL), body)
            raise  # the server logs it, with its traceback
