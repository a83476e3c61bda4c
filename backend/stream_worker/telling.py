"""What is said of a batch that has had its effect: lines of the log and, where they are asked for, spans."""

import logging

from backend.spans import Spans
from backend.stream_worker.entries import Batch
from coffee_core.keys import STREAM
from coffee_core.trace_context import trace_id

_log = logging.getLogger(__name__)
_DEAD = "a dead letter"


def tell(batch: Batch, spans: Spans | None) -> None:
    """Say it."""
    for letter in batch.dead:
        context = _of(batch, letter.entry_id)
        _log.warning("dead letter %s: %s: %s", letter.entry_id, letter.reason, letter.detail, extra=context)
    if batch.gone:
        _log.warning("%d entries were deleted from the stream before they were read", len(batch.gone))
    if not batch.traces or (spans is None and not _log.isEnabledFor(logging.DEBUG)):
        return
    for entry_id, outcome in _outcomes(batch):
        if entry_id in batch.traces:
            if outcome is not _DEAD:  # which has its line
                _log.debug("%s is %s", entry_id, outcome, extra=_of(batch, entry_id))
            if spans is not None:
                _span(spans, batch.traces[entry_id], entry_id, outcome, batch.began_ns)


def _outcomes(batch: Batch) -> list[tuple[str, str]]:
    return [
        *((each.entry_id, f"shown: order {each.order.message_id}") for each in batch.placed),
        *((entry_id, "a duplicate") for entry_id in batch.duplicates),
        *((letter.entry_id, _DEAD) for letter in batch.dead),
    ]


def _span(spans: Spans, traceparent: str, entry_id: str, outcome: str, began_ns: int) -> None:
    from opentelemetry.trace import SpanKind

    attributes = {
        "messaging.system": "redis",
        "messaging.destination.name": STREAM,
        "messaging.message.id": entry_id,
        "coffee.outcome": outcome.partition(":")[0],
    }
    parent = spans.parent(traceparent)
    spans.tracer.start_span(f"process {STREAM}", parent, SpanKind.CONSUMER, attributes, start_time=began_ns).end()


def _of(batch: Batch, entry_id: str) -> dict[str, dict[str, str]]:
    """Return whose line of the log it is: of the entry's trace, where it carries one."""
    trace = batch.traces.get(entry_id)
    return {"context": {"trace_id": trace_id(trace)} if trace else {}}
