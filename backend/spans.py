"""OpenTelemetry, where it is asked for: spans of requests and of what the stream worker does for them.

``OTEL_EXPORTER_OTLP_ENDPOINT`` asks for it, by OpenTelemetry's own name; its other variables hold too. It needs
the extra ``coffee-rt[otel]``.
"""

import os
from typing import TYPE_CHECKING

from coffee_core.errors import ConfigError
from coffee_core.trace_context import FIELD

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span, Tracer

ASKED = "OTEL_EXPORTER_OTLP_ENDPOINT"
"""The variable that names the collector, e.g. http://127.0.0.1:4318."""


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
        """Return what makes others the children of this span."""
        from opentelemetry.trace import set_span_in_context

        carrier: dict[str, str] = {}
        self._propagator.inject(carrier, set_span_in_context(span))
        return carrier.get(FIELD, "")

    def close(self) -> None:
        """Send what is left; takes as long as OTEL_EXPORTER_OTLP_TIMEOUT at most."""
        self._provider.shutdown()


def asked_for(service: str) -> Spans | None:
    """Return the spans of a service, or None where nobody asks. Raises ConfigError where the extra is missing."""
    if not os.environ.get(ASKED):
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise ConfigError(f"{ASKED} is set: install coffee-rt[otel]") from error
    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Spans(provider)
