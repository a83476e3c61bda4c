"""The body of an order: JSON in, exact values out, or a problem that names the field."""

from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from backend.api.kinds import INVALID, MALFORMED
from backend.api.problems import ProblemError
from coffee_core.clock import parse_timestamp_us
from coffee_core.errors import OrderError
from coffee_core.ids import parse_idempotency_key
from coffee_core.menu import DRINKS, STORES
from coffee_core.money import to_cents

FIELDS = ("drink", "store", "price", "timestamp")
"""What an order consists of: all of these and nothing else."""

KEY_FIELDS = ("message_id", "idempotency_key")
"""What an order of a batch may have beside them: its key, by either name."""
_MARKS = 2 * (len(FIELDS) + 3)
"""Quotation marks of an order: around every name and three of the values."""
_SHOWN = 40
"""Characters of a wrong value that are repeated to the client."""


class Content(NamedTuple):
    """What the client said."""

    drink: str
    """One of ``menu.DRINKS``."""
    store: str
    """One of ``menu.STORES``."""
    price_cents: int
    """Price in cents."""
    ordered_at_us: int
    """Microseconds since the epoch."""


def _exact(text: str) -> Decimal:
    """Read a JSON number without going through a float; an absurd exponent becomes NaN, which no check accepts."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return Decimal("NaN")


_decode = msgspec.json.Decoder(float_hook=_exact).decode


def parse(raw: bytes) -> Content:
    """Read the JSON text of an order.

    Raises ProblemError: malformed-json, or invalid-field with the name of the field.
    """
    return _content(_fields(raw), raw)


def parse_item(raw: bytes) -> tuple[Content, UUID | None]:
    """Read the JSON text of an order of a batch, which may carry its own key; raises as ``parse`` does."""
    fields = _fields(raw)
    given = [name for name in KEY_FIELDS if name in fields]
    if not given:
        return _content(fields, raw), None
    if len(given) > 1:
        raise ProblemError(INVALID, f"{given[1]}: is {given[0]} by another name; give one", field=given[1])
    name = given[0]
    try:
        key = parse_idempotency_key(_text(fields, name))
    except OrderError as error:
        raise ProblemError(INVALID, f"{name}: {error.reason}", field=name) from error
    del fields[name]
    return _content(fields, raw, keyed=True), key


def _fields(raw: bytes) -> dict[str, Any]:
    try:
        fields = _decode(raw)
    except msgspec.ValidationError as error:
        # The only thing that untyped decoding calls invalid is an integer of absurd length.
        raise ProblemError(INVALID, f"price: is out of range ({error})", field="price") from error
    except (ValueError, RecursionError) as error:
        raise ProblemError(MALFORMED, str(error)) from error
    if not isinstance(fields, dict):
        raise ProblemError(INVALID, f"An order must be a JSON object with {', '.join(FIELDS)}")
    return fields


def _content(fields: dict[str, Any], raw: bytes, *, keyed: bool = False) -> Content:
    try:
        content = Content(
            _choice(fields, "drink", DRINKS),
            _choice(fields, "store", STORES),
            to_cents(_number(fields, "price")),
            parse_timestamp_us(_text(fields, "timestamp")),
        )
    except OrderError as error:
        raise ProblemError(INVALID, str(error), field=error.field) from error
    if len(fields) != len(FIELDS):
        unknown = next(name for name in fields if name not in FIELDS)[:_SHOWN]
        raise ProblemError(INVALID, f"{unknown}: is no field of an order", field=unknown)
    # None of the names and good values has a quotation mark in it: more of them than these need is a name twice.
    if raw.count(b'"') != _MARKS + (4 if keyed else 0):
        raise ProblemError(INVALID, "A field is given twice")
    return content


def _value(fields: dict[str, Any], name: str) -> Any:
    if name not in fields:
        raise OrderError(name, "is missing")
    return fields[name]


def _text(fields: dict[str, Any], name: str) -> str:
    value = _value(fields, name)
    if not isinstance(value, str):
        raise OrderError(name, "must be a string")
    return value


def _choice(fields: dict[str, Any], name: str, choices: tuple[str, ...]) -> str:
    value = _text(fields, name)
    if value not in choices:
        raise OrderError(name, f"must be one of {', '.join(choices)}, not {value[:_SHOWN]!r}")
    return value


def _number(fields: dict[str, Any], name: str) -> Decimal:
    value = _value(fields, name)
    if isinstance(value, Decimal):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value)
    raise OrderError(name, "must be a JSON number, e.g. 4.50")
