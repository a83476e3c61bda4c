"""Around everything, where OpenTelemetry is asked for: a span for each request (pure ASGI middleware)."""

from opentelemetry.trace import SpanKind, Status, StatusCode
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.spans import Spans
from coffee_core.trace_context import FIELD

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
