"""What schemathesis cannot know of this API: one more media type, and that a key belongs to one order."""

import json
from typing import Any
from uuid import UUID, uuid4

import schemathesis
from schemathesis.core.parameters import ParameterLocation

_KEY = "Idempotency-Key"


@schemathesis.serializer("application/x-ndjson")
def ndjson(_: schemathesis.SerializationContext, value: Any) -> bytes:
    items = value if isinstance(value, list) else [value]
    return "\n".join(map(json.dumps, items)).encode()


@schemathesis.hook
def before_call(_: schemathesis.HookContext, case: schemathesis.Case, __: Any) -> None:
    # Another order under a known key is refused, rightly: each order gets a key of its own.
    if case.headers and _is_key(case.headers.get(_KEY)):
        case.headers[_KEY] = str(uuid4())
        if "cloudevents" in str(case.media_type):  # its id is the key
            del case.headers[_KEY]
    for item in case.body if isinstance(case.body, list) else [case.body]:
        if isinstance(item, dict):
            _renew(item)
    # Schemathesis puts headers it has spoilt into cases that it means to be good.
    if case.meta and case.meta.generation.mode.is_positive:
        header = case.meta.components.get(ParameterLocation.HEADER)
        if header is not None and header.mode.is_negative:
            case.headers.pop(_KEY, None)


def _renew(item: dict[str, Any]) -> None:
    for name in ("message_id", "idempotency_key"):
        if _is_key(item.get(name)):
            item[name] = str(uuid4())
    if isinstance(item.get("id"), str) and item["id"]:
        item["id"] = str(uuid4())


def _is_key(value: Any) -> bool:
    try:
        return bool(UUID(value.strip('"')))
    except (AttributeError, ValueError):
        return False
