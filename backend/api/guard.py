"""Around the routes: whoever has no token goes no further (pure ASGI middleware)."""

from starlette.types import ASGIApp, Receive, Scope, Send

from backend.api import problems
from backend.api.gate import Token
from backend.api.order_endpoint import answer
from backend.api.problems import ProblemError
from backend.api.request_ids import request_id

POLICY_VIOLATION = 1008
"""Code of a websocket that is refused."""


class Guard:
    """Lets through what has the token."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = Token(token)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, or refuse it."""
        if scope["type"] in ("http", "websocket"):
            try:
                self._token.check(scope)
            except ProblemError as problem:
                await refuse(scope, send, problem)
                return
        await self._app(scope, receive, send)


async def refuse(scope: Scope, send: Send, problem: ProblemError) -> None:
    """Answer a request with the problem; a websocket is closed."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": POLICY_VIOLATION})
        return
    body = problems.body(problem, request_id(scope))
    await answer(send, problem.kind.status, problems.headers(problem.kind), body)
