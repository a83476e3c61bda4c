"""Pure ASGI middleware around the routes: request ids and counts, access, the short way for orders, spans."""

import hmac
import logging
import random
import re
from collections.abc import Awaitable, Iterable
from time import perf_counter, perf_counter_ns

from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend import logs
from backend.api.answer_counters import AnswerCounts, RequestCounts
from backend.api.orders import OrderEndpoint
from backend.api.problems import (
    INTERNAL,
    MISDIRECTED,
    REQUEST_ID,
    UNAUTHORIZED,
    Answer,
    Headers,
    ProblemError,
    answer_problem,
    problem_answer,
)
from backend.clients import tracing
from coffee_core.origin_check import refusal

_log = logging.getLogger(__name__)

REQUEST_ID_HEADER = b"x-request-id"
_SANE_ID = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")
POLICY_VIOLATION = 1008
"""Code of a websocket that is refused."""
SHORT_WAYS = "coffee.short_ways"
"""Key in the state of the application of its ``ShortWay`` by path."""
_SEE_LOG = "The log of the API says more"


def choose_request_id(headers: Headers) -> bytes:
    """Return the id of a request with these headers: the client's where it sends a sane one, else a new one."""
    for name, value in headers:
        if name == REQUEST_ID_HEADER and _SANE_ID.fullmatch(value):
            return value
    return b"%016x" % random.getrandbits(64)


def _begin(headers: Headers) -> bytes:
    """Return the id of a request, and add it and its trace to the logs of the current task."""
    value = choose_request_id(headers)
    context = {"request_id": value.decode("ascii")}
    traceparent = trace_id = ""
    for name, text in headers:
        if name == tracing.HEADER:
            traceparent = text.decode("latin-1")
            trace_id = tracing.trace_id(traceparent)
            break
    if trace_id:
        context["trace_id"] = trace_id
    tracing.CURRENT.set(traceparent if trace_id else "")
    logs.CONTEXT.set(context)
    return value


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
        value = _begin(scope["headers"])
        scope[REQUEST_ID] = value.decode("ascii")
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
        if scope["type"] in ("http", "websocket") and not (
            self._is_open(scope["path"]) or self.passes(scope["headers"])
        ):
            problem = ProblemError(UNAUTHORIZED, "COFFEE_API_TOKEN is set: send 'Authorization: Bearer …'")
            await _refuse(scope, send, problem)
            return
        await self._app(scope, receive, send)

    def passes(self, headers: Headers) -> bool:
        """Tell whether a request with these headers has the token."""
        for name, value in headers:
            if name == b"authorization":
                scheme, _, given = value.partition(b" ")
                # Constant time: the duration of the answer must not reveal the token.
                if scheme.lower() == b"bearer" and hmac.compare_digest(given.strip(), self._token):
                    return True
        return False

    def _is_open(self, path: str) -> bool:
        return path in self._OPEN_PATHS or path.startswith(("/readyz/", "/problems/"))


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
        origin = None
        # A page of another site cannot read the answers to other requests: no CORS header is ever sent.
        if scope["type"] == "websocket":
            origin = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"origin"), None)
        if reason := self._refusal(scope["headers"], origin):
            return _refuse(scope, send, ProblemError(MISDIRECTED, f"{reason}, or set COFFEE_API_TOKEN"))
        return self._app(scope, receive, send)

    def passes(self, headers: Headers) -> bool:
        """Tell whether a request with these headers, of no websocket, is for this API."""
        for name, value in headers:
            if name == b"host" and value in self._known_hosts:  # there is one, or the parser had refused
                return True
        return not self._refusal(headers, None)

    def _refusal(self, headers: Headers, origin: str | None) -> str:
        host = next((value for name, value in headers if name == b"host"), b"")
        if origin is None and host in self._known_hosts:
            return ""
        reason = refusal(self._bound_to, host.decode("latin-1"), origin)
        if not reason and len(self._known_hosts) < self._MAX_KNOWN_HOSTS:
            self._known_hosts.add(host)
        return reason


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
            await answer_problem(scope, send, ProblemError(INTERNAL, _SEE_LOG))
            raise  # the server logs it, with its traceback


class ShortWay:
    """The way of an order whose request came in one piece: past ASGI, which costs more than the rest of its way.

    Does for it what the middleware above does, and hands it to the same endpoint.
    """

    def __init__(
        self,
        path: str,
        endpoint: OrderEndpoint,
        guard: BearerAuth | OriginCheck,
        counts: RequestCounts,
        answers: AnswerCounts,
    ) -> None:
        self._path = path
        self._endpoint = endpoint
        self._counts = counts
        self._answers = answers
        self.passes = guard.passes
        """Tells by its headers whether a request may go this way; what may not is refused on the long one."""

    async def answer(self, scope: Scope, raw: bytes) -> tuple[bytes, Answer]:
        """Return the id of the request and its answer; its scope needs no more than headers and client."""
        counts, status = self._counts, INTERNAL.status
        request_id = _begin(scope["headers"])
        started = perf_counter()
        counts.values[counts.in_flight] += 1
        try:
            answer = await self._endpoint.take(scope, raw, perf_counter_ns())
            status = answer[0]
        except ProblemError as problem:
            status = problem.type.status
            self._answers.count(status, 0)
            answer = problem_answer(problem, request_id)
        except Exception:  # noqa: BLE001  as the server does on the long way: logged, with its traceback
            _log.exception("an order could not be answered")
            answer = problem_answer(ProblemError(INTERNAL, _SEE_LOG), request_id)
        finally:
            counts.values[counts.in_flight] -= 1
            counts.count(self._path, "POST", status, perf_counter() - started)
        return request_id, answer


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
