"""Around everything: request ids, and requests counted, as pure ASGI middleware."""

from collections.abc import Awaitable, Iterable
from time import perf_counter

from opentelemetry.trace import SpanKind, Status, StatusCode
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend import logs
from backend.api import problems, responses
from backend.api.admission import Token
from backend.api.answer_counters import RequestCounts
from backend.api.problems import INTERNAL, MISDIRECTED, ProblemError
from backend.api.responses import answer, request_id
from backend.clients import tracing
from backend.clients.tracing import FIELD, Spans
from coffee_core.origin_check import refusal


class Observe:
    """Counts and times every request, and gives each one its id."""

    def __init__(self, app: ASGIApp, counts: RequestCounts) -> None:
        self._app = app
        self._counts = counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        header = (responses.HEADER, responses.assign(scope))
        context = {"request_id": responses.request_id(scope)}
        if trace_id := tracing.accept(scope):
            context["trace_id"] = trace_id
        logs.CONTEXT.set(context)
        status = 500

        async def observed_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], header]
            await send(message)

        started = perf_counter()
        self._counts.begin()
        try:
            await self._app(scope, receive, observed_send)
        finally:
            self._counts.end()
            route = scope.get("route")
            path = "unmatched" if route is None else route.path
            self._counts.count(path, scope["method"], status, perf_counter() - started)


# Around the routes: whoever has no token goes no further (pure ASGI middleware).


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


# Where no token is asked for: no page of another site reads or writes (pure ASGI middleware).


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


# In front of the routes: orders go straight to their endpoint (pure ASGI middleware).
#
# They are nearly all that is asked, and middleware, routes and their patterns cost more than reading an order
# does.


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


# Around everything, where OpenTelemetry is asked for: a span for each request (pure ASGI middleware).


_HEADER = FIELD.encode()


class SpanMiddleware:
    """Makes each request a child of the client's span, and whatever is done for it a child of the request's."""

    def __init__(self, app: ASGIApp, spans: Spans) -> None:
        self._app = app
        self._spans = spans

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = next((value.decode("latin-1") for name, value in scope["headers"] if name == _HEADER), "")
        span = self._spans.tracer.start_span(
            scope["method"],
            self._spans.parent(given),
            SpanKind.SERVER,
            {"http.request.method": scope["method"], "url.path": scope["path"]},
        )
        ours = (_HEADER, self._spans.traceparent(span).encode())
        scope["headers"] = [*(each for each in scope["headers"] if each[0] != _HEADER), ours]

        async def observed_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                span.set_attribute("http.response.status_code", message["status"])
                if message["status"] >= 500:
                    span.set_status(Status(StatusCode.ERROR))
            await send(message)

        try:
            await self._app(scope, receive, observed_send)
        finally:
            if (route := scope.get("route")) is not None:
                span.set_attribute("http.route", route.path)
                span.update_name(f"{scope['method']} {route.path}")
            span.end()
