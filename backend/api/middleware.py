"""Pure ASGI middleware around the routes: request ids and counts, access, the short way for orders, spans."""

import hmac
import random
import re
from collections.abc import Awaitable, Iterable
from time import perf_counter

from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend import logs
from backend.api.answer_counters import RequestCounts
from backend.api.problems import (
    INTERNAL,
    MISDIRECTED,
    REQUEST_ID,
    UNAUTHORIZED,
    Headers,
    ProblemError,
    answer_problem,
)
from backend.clients import tracing
from coffee_core.origin_check import refusal

REQUEST_ID_HEADER = b"x-request-id"
_SANE_ID = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")
POLICY_VIOLATION = 1008
"""Code of a websocket that is refused."""


def choose_request_id(headers: Headers) -> bytes:
    """Return the id of a request with these headers: the client's where it sends a sane one, else a new one."""
    for name, value in headers:
        if name == REQUEST_ID_HEADER and _SANE_ID.fullmatch(value):
            return value
    return b"%016x" % random.getrandbits(64)


class Observe:
    """Counts and times every request; gives it an id and adds its id and trace to the logs."""

    def __init__(self, app: ASGIApp, counts: RequestCounts) -> None:
        self._app = app
        self._counts = counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        value = choose_request_id(scope["headers"])
        request_id = scope[REQUEST_ID] = value.decode("ascii")
        context = {"request_id": request_id}
        traceparent = trace_id = ""
        for name, text in scope["headers"]:
            if name == tracing.HEADER:
                traceparent = text.decode("latin-1")
                trace_id = tracing.trace_id(traceparent)
                break
        if trace_id:
            context["trace_id"] = trace_id
        tracing.CURRENT.set(traceparent if trace_id else "")
        logs.CONTEXT.set(context)
        status = 500

        async def observed_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (REQUEST_ID_HEADER, value)]
            await send(message)

        counts = self._counts
        started = perf_counter()
        counts.values[counts.in_flight] += 1
        try:
            await self._app(scope, receive, observed_send)
        finally:
            counts.values[counts.in_flight] -= 1
            route = scope.get("route")
            path = "unmatched" if route is None else route.path
            counts.count(path, scope["method"], status, perf_counter() - started)


class BearerAuth:
    """Passes on requests with the token, and requests to paths that need none."""

    _OPEN_PATHS = ("/livez", "/startupz", "/readyz", "/docs", "/openapi.json", "/problems")

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, or refuse it."""
        if scope["type"] in ("http", "websocket") and not self._may_pass(scope):
            problem = ProblemError(UNAUTHORIZED, "COFFEE_API_TOKEN is set: send 'Authorization: Bearer …'")
            await _refuse(scope, send, problem)
            return
        await self._app(scope, receive, send)

    def _may_pass(self, scope: Scope) -> bool:
        path = scope["path"]
        if path in self._OPEN_PATHS or path.startswith(("/readyz/", "/problems/")):
            return True
        for name, value in scope["headers"]:
            if name == b"authorization":
                scheme, _, given = value.partition(b" ")
                # Constant time: the duration of the answer must not reveal the token.
                if scheme.lower() == b"bearer" and hmac.compare_digest(given.strip(), self._token):
                    return True
        return False


class OriginCheck:
    """Without a token: passes on only requests that no page of another site can have sent."""

    _MAX_KNOWN_HOSTS = 100

    def __init__(self, app: ASGIApp, bound_to: str) -> None:
        """``bound_to`` is the address that the API listens on."""
        self._app = app
        self._bound_to = bound_to
        self._known_hosts: set[bytes] = set()

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Pass one request on, or refuse it."""
        if scope["type"] == "lifespan":
            return self._app(scope, receive, send)
        host, origin = b"", None
        for name, value in reversed(scope["headers"]):  # the first of each name counts
            if name == b"host":
                host = value
            # A page of another site cannot read the answers to other requests: no CORS header is ever sent.
            elif name == b"origin" and scope["type"] == "websocket":
                origin = value.decode("latin-1")
        if origin is None and host in self._known_hosts:
            return self._app(scope, receive, send)
        if reason := refusal(self._bound_to, host.decode("latin-1"), origin):
            return _refuse(scope, send, ProblemError(MISDIRECTED, f"{reason}, or set COFFEE_API_TOKEN"))
        if len(self._known_hosts) < self._MAX_KNOWN_HOSTS:
            self._known_hosts.add(host)
        return self._app(scope, receive, send)


async def _refuse(scope: Scope, send: Send, problem: ProblemError) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": POLICY_VIOLATION})
    else:
        await answer_problem(scope, send, problem)


class DirectRoutes:
    """Sends orders straight to their endpoint: routes of POST without a parameter, by their path.

    Nearly all requests are orders, and Starlette's middleware, routes and patterns cost more than reading one.
    Everything else goes on to the application.
    """

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
            await answer_problem(scope, send, ProblemError(INTERNAL, "The log of the API says more"))
            raise  # the server logs it, with its traceback


class SpanMiddleware:
    """Makes a span for each request; outermost, and only where OpenTelemetry is configured.

    The span is a child of the client's span, and the parent of the spans of all work done for the request.
    """

    def __init__(self, app: ASGIApp, spans: tracing.Spans) -> None:
        # Not at the top: OpenTelemetry is an extra.
        from opentelemetry.trace import SpanKind, Status, StatusCode

        self._app = app
        self._spans = spans
        self._kind = SpanKind.SERVER
        self._failed = Status(StatusCode.ERROR)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = scope["headers"]
        given = next((value.decode("latin-1") for name, value in headers if name == tracing.HEADER), "")
        span = self._spans.tracer.start_span(
            scope["method"],
            self._spans.parent(given),
            self._kind,
            {"http.request.method": scope["method"], "url.path": scope["path"]},
        )
        traceparent = (tracing.HEADER, self._spans.traceparent(span).encode())
        scope["headers"] = [*(header for header in headers if header[0] != tracing.HEADER), traceparent]

        async def observed_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                span.set_attribute("http.response.status_code", message["status"])
                if message["status"] >= 500:
                    span.set_status(self._failed)
            await send(message)

        try:
            await self._app(scope, receive, observed_send)
        finally:
            if (route := scope.get("route")) is not None:
                span.set_attribute("http.route", route.path)
                span.update_name(f"{scope['method']} {route.path}")
            span.end()
