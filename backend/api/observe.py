"""Around everything: request ids and Prometheus metrics, as pure ASGI middleware."""

import logging
from time import perf_counter

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend import logs
from backend.api import request_ids, tracing

log = logging.getLogger(__name__)

_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)


class RequestCounts:
    """What /metrics tells of the requests."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "coffee_api_requests", "Requests answered.", ("route", "method", "status"), registry=registry
        )
        self._seconds = Histogram(
            "coffee_api_request_seconds",
            "From the first byte of a request to its answer.",
            ("route",),
            buckets=_SECONDS,
            registry=registry,
        )
        self.in_flight = 0
        """Requests being answered."""
        in_flight = Gauge("coffee_api_requests_in_flight", "Requests being answered.", registry=registry)
        in_flight.set_function(lambda: self.in_flight)
        self._tells = log.isEnabledFor(logging.DEBUG)
        self._children: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def count(self, path: str, method: str, status: int, took_s: float) -> None:
        """Count an answer that took so many seconds; ``path`` is the route's template."""
        requests, seconds = self._children_of(path, method, status)
        requests.inc()
        seconds.observe(took_s)
        if self._tells:
            log.debug("%s %s: %d after %.1f ms", method, path, status, took_s * 1_000)

    def _children_of(self, path: str, method: str, status: int) -> tuple[Counter, Histogram]:
        key = (path, method if method in _METHODS else "other", status)
        children = self._children.get(key)
        if children is None:  # labels() costs more than counting does
            children = (self._requests.labels(*key), self._seconds.labels(path))
            self._children[key] = children
        return children


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
        header = (request_ids.HEADER, request_ids.assign(scope))
        context = {"request_id": request_ids.request_id(scope)}
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
        self._counts.in_flight += 1
        try:
            await self._app(scope, receive, observed_send)
        finally:
            self._counts.in_flight -= 1
            route = scope.get("route")
            path = "unmatched" if route is None else route.path
            self._counts.count(path, scope["method"], status, perf_counter() - started)
