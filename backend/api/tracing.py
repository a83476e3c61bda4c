"""The trace of the request at hand: the client's, where it sends a ``traceparent``; else there is none."""

from contextvars import ContextVar

from starlette.types import Scope

from coffee_core.trace_context import FIELD, trace_id

_HEADER = FIELD.encode()
_current: ContextVar[str] = ContextVar("traceparent", default="")


def accept(scope: Scope) -> str:
    """Keep what the request says and return its trace id; nothing where it says nothing that can be read."""
    text = next((value.decode("latin-1") for name, value in scope["headers"] if name == _HEADER), "")
    found = trace_id(text) if text else ""
    _current.set(text if found else "")
    return found


def traceparent() -> str:
    """Return what goes on with the order, as a stream entry's field or a Kafka header; nothing without a trace."""
    return _current.get()
