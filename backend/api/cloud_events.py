"""Orders as CloudEvents 1.0 over HTTP: structured (the event is the body) or binary (its attributes are headers).

The event's id becomes the message id: as it is where it is a UUID, else as the UUIDv5 of source and id, which
together name an event once and for all.
"""

from urllib.parse import unquote
from uuid import UUID, uuid5

import msgspec

from backend.api.kinds import INVALID, MALFORMED
from backend.api.problems import ProblemError
from coffee_core.errors import OrderError
from coffee_core.ids import parse_idempotency_key

STRUCTURED = b"application/cloudevents+json"
"""Media type of one event as the body."""
PREFIX = b"ce-"
"""How the headers of a binary event begin."""
NAMESPACE = UUID("a3b9a0c4-52f5-5b51-9d0e-6f1f7c4f2f0e")
"""Of the UUIDv5 of events whose id is no UUID; never to be changed."""

_REQUIRED = ("specversion", "id", "source", "type")


class _Event(msgspec.Struct):
    specversion: str = ""
    id: str = ""
    source: str = ""
    type: str = ""
    datacontenttype: str = "application/json"
    data: msgspec.Raw = msgspec.Raw()


_decode = msgspec.json.Decoder(_Event).decode


def unwrap(raw: bytes) -> tuple[bytes, UUID]:
    """Return the order in a structured event, as JSON text, and its message id; raises ProblemError."""
    try:
        event = _decode(raw)
    except msgspec.ValidationError as error:
        raise ProblemError(INVALID, f"The event has a wrong type ({error})") from error
    except (ValueError, RecursionError) as error:
        raise ProblemError(MALFORMED, str(error)) from error
    message_id = _check({name: getattr(event, name) for name in _REQUIRED})
    if event.datacontenttype.partition(";")[0].strip().lower() != "application/json":
        raise _invalid("datacontenttype", "must be application/json")
    data = bytes(event.data)
    if not data:
        raise _invalid("data", "is missing; an order is JSON, so it is not in data_base64")
    return data, message_id


def message_id_of(headers: list[tuple[bytes, bytes]]) -> UUID:
    """Return the message id of a binary event; raises ProblemError."""
    return _check(
        {
            name[len(PREFIX) :].decode("latin-1"): unquote(value.decode("latin-1"))
            for name, value in headers
            if name.startswith(PREFIX)
        }
    )


def _check(attributes: dict[str, str]) -> UUID:
    for name in _REQUIRED:
        if not attributes.get(name):
            raise _invalid(name, "is missing; a CloudEvent has specversion, id, source and type")
    if attributes["specversion"] != "1.0":
        raise _invalid("specversion", "must be 1.0")
    try:
        return parse_idempotency_key(attributes["id"])
    except OrderError:
        # No URI has a space in it: two pairs of source and id never make the same name.
        return uuid5(NAMESPACE, f"{attributes['source']} {attributes['id']}")


def _invalid(name: str, reason: str) -> ProblemError:
    return ProblemError(INVALID, f"{name}: {reason}", field=name)
