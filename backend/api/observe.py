"""Around everything: request ids, and requests counted, as pure ASGI middleware."""

import logging
from bisect import bisect_left
from time import perf_counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend import logs
from backend.api import request_ids, tracing
from backend.api.counters import NOW, Counters

log = logging.getLogger(__name__)

_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
BOUNDS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Upper bounds in seconds of the buckets of a request's time; there is one more, without an end."""
REQUESTS, SECONDS, BUCKET, IN_FLIGHT = "requests ", "seconds ", "bucket ", "in flight"
"""Beginnings of the counters' names; method and status, or the bucket's number, and the route come after."""


class RequestCounts:
    """Counts requests, for ``request_metrics`` to tell of."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._values = counters.values
        self._in_flight = counters.place(NOW + IN_FLIGHT)
        self._tells = log.isEnabledFor(logging.DEBUG)
        self._places: dict[tuple[str, str, int], tuple[int, int, list[int]]] = {}

    def begin(self) -> None:
        """Count a request that is to be answered."""
        self._values[self._in_flight] += 1

    def end(self) -> None:
        """Count it no more."""
        self._values[self._in_flight] -= 1

    def count(self, path: str, method: str, status: int, took_s: float) -> None:
        """Count an answer that took so many seconds; ``path`` is the route's template."""
        key = (path, method if method in _METHODS else "other", status)
        places = self._places.get(key)
        if places is None:
            places = self._places[key] = self._places_of(*key)
        requests, seconds, buckets = places
        self._values[requests] += 1
        self._values[seconds] += took_s
        self._values[buckets[bisect_left(BOUNDS_S, took_s)]] += 1
        if self._tells:
            log.debug("%s %s: %d after %.1f ms", method, path, status, took_s * 1_000)

    def _places_of(self, path: str, method: str, status: int) -> tuple[int, int, list[int]]:
        place = self._counters.place
        buckets = [place(f"{BUCKET}{number} {path}") for number in range(len(BOUNDS_S) + 1)]
        return place(f"{REQUESTS}{method} {status} {path}"), place(f"{SECONDS}{path}"), buckets


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
        self._counts.begin()
        try:
            await self._app(scope, receive, observed_send)
        finally:
            self._counts.end()
            route = scope.get("route")
            path = "unmatched" if route is None else route.path
            self._counts.count(path, scope["method"], status, perf_counter() - started)
