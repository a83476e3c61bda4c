"""What a record of a topic is: an order, or something that can never be one."""

import json
import re
import sys
from hashlib import blake2b
from itertools import accumulate

import msgspec

from coffee_core.errors import OrderError
from coffee_core.order import Order

_encode = msgspec.json.Encoder().encode

_DEEPEST = 999
"""How deep objects and arrays are read within one another: as deep as v3's job does, Jackson's limit less one that
its SQL adds."""
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]')
_STEPS = {"[": 1, "{": 1, "]": -1, "}": -1}


def encode_order(order: Order) -> bytes:
    """Return the value of an order's record, as the API writes it: JSON without spaces."""
    return _encode(order.to_fields())


def parse_order(value: bytes | None) -> Order:
    """Read the order of a record's value. Raises OrderError naming what is wrong: then it is a dead letter."""
    if value is None:
        raise OrderError("the record", "has no value")
    # What is no UTF-8 is replaced, and bytes are never UTF-16, as Flink reads it. JSON knows no NaN.
    text = value.decode(errors="replace")
    if text.count("[") + text.count("{") > _DEEPEST and _depth(text) > _DEEPEST:
        raise OrderError("the value", "is nested too deep")
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(limit + 2 * _DEEPEST)
    try:
        fields = json.loads(text, parse_constant=_refuse_constant)
    except ValueError:
        fields = None
    finally:
        sys.setrecursionlimit(limit)
    if not isinstance(fields, dict):
        raise OrderError("the value", "is no JSON object")
    return Order.from_fields(fields)


def read_order(value: bytes | None) -> Order | None:
    """Return the order of a record's value, or None where it must be a dead letter."""
    try:
        return parse_order(value)
    except OrderError:
        return None


def mark(offset: int, time_ms: int, key: bytes | None, value: bytes | None) -> str:
    """Return what tells a record from any other that may come to lie at its offset."""
    content = blake2b(key or b"", digest_size=8)
    content.update(value or b"")
    return f"{offset} {time_ms} {content.hexdigest()}"


def offset_of(mark: str) -> int:
    """Return the offset of the record of a mark."""
    return int(mark.partition(" ")[0])


def _depth(text: str) -> int:
    """Return how deep the brackets of a JSON text are nested."""
    steps = (_STEPS.get(token, 0) for token in _TOKEN.findall(text))
    return max(accumulate(steps), default=0)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
