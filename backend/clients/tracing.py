"""OpenTelemetry, optional: spans of requests and of the stream worker's work for them.

The variable ``OTEL_EXPORTER_OTLP_ENDPOINT`` turns it on; OpenTelemetry's other variables hold too. It needs the
extra ``coffee-rt[otel]``.
"""

import os
import re
from contextvars import ContextVar
from typing import TYPE_CHECKING

from coffee_core.errors import ConfigError

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span, Tracer


FIELD = "traceparent"
"""Name of W3C trace context's request header, and of the Kafka header and the stream entry's field that carry it.

It joins an order's request to what is done for it later, in other processes."""
HEADER = FIELD.encode()
"""The same as ASGI has it."""
CURRENT: ContextVar[str] = ContextVar("traceparent", default="")
"""The traceparent of the current request, where its client sent one; travels with the order."""
ENDPOINT_VARIABLE = "OTEL_EXPORTER_OTLP_ENDPOINT"
"""The variable that names the collector, e.g. http://127.0.0.1:4318."""

# A later version may append more; this is how the recommendation has us read it (all but version ff).
_FORM = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-[!-~]{0,128})?"
)


def trace_id(traceparent: str) -> str:
    """Return the trace id (32 hexadecimal digits) of a ``traceparent``; empty where it does not have that form."""
    found = _FORM.fullmatch(traceparent)
    return found[1] if found and not (traceparent.startswith("00-") and len(traceparent) > 55) else ""


class Spans:
    """Makes the spans of one service and sends them from a thread of its own; those it cannot send are dropped."""

    def __init__(self, provider: "TracerProvider") -> None:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider = provider
        self._propagator = TraceContextTextMapPropagator()
        self.tracer: Tracer = provider.get_tracer("coffee-rt")
        """Starts spans."""

    def parent(self, traceparent: str) -> "Context":
        """Return the context of a traceparent; without one the span starts a trace."""
        return self._propagator.extract({FIELD: traceparent})

    def traceparent(self, span: "Span") -> str:
        """Return the traceparent that makes others the children of this span."""
        from opentelemetry.trace import set_span_in_context

        carrier: dict[str, str] = {}
        self._propagator.inject(carrier, set_span_in_context(span))
        return carrier.get(FIELD, "")

    def close(self) -> None:
        """Send the remaining spans; takes OTEL_EXPORTER_OTLP_TIMEOUT at most."""
        self._provider.shutdown()


def spans_from_env(service: str) -> Spans | None:
    """Return the spans of a service, or None where no collector is named. Raises ConfigError without the extra."""
    if not os.environ.get(ENDPOINT_VARIABLE):
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise ConfigError(f"{ENDPOINT_VARIABLE} is set: install coffee-rt[otel]") from error
    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Spans(provider)
