"""Logs of the services: one line for an event, as text or JSON, with the ids of its request and trace."""

import logging
import sys
from collections.abc import Mapping, MutableMapping
from contextvars import ContextVar
from typing import Any

CONTEXT: ContextVar[Mapping[str, str]] = ContextVar("log_context", default={})  # noqa: B039  never written to
"""Fields added to every log line of the current task: request_id, trace_id."""


def configure(name: str, form: str, level: str) -> None:
    """Log to stderr from now on, under the name of this process."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        _Text(f"%(asctime)s %(levelname)s {name}: %(message)s") if form == "text" else _json(name)
    )
    handler.addFilter(_add_context)
    logging.basicConfig(handlers=[handler], level=max(logging.INFO, logging.getLevelNamesMapping()[level.upper()]))
    logging.getLogger("backend").setLevel(level.upper())  # the libraries' own debugging would drown it


def _add_context(record: logging.LogRecord) -> bool:
    record.context = {**CONTEXT.get(), **getattr(record, "context", {})}
    return True


class _Text(logging.Formatter):
    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - its name in logging
        context: Mapping[str, str] = getattr(record, "context", {})
        return super().formatMessage(record) + "".join(f" {key}={value}" for key, value in context.items())


def _json(name: str) -> logging.Formatter:
    # Imported here: it imports rich, a tenth of a second that a restart with text logs need not wait for.
    import structlog

    def with_context(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {"service": name, **event, **event["_record"].context}

    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
        ],
        processors=[
            with_context,
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.dict_tracebacks,
            structlog.processors.JSONRenderer(),
        ],
    )
