"""Frozen values as plain JSON and back: dataclasses become objects, tuples arrays, enumerations their words."""

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from enum import StrEnum
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

from coffee_core.pipelines import Pipeline, pipeline_named
from coffee_core.totals import json_key

_Value = TypeVar("_Value")


def to_plain(value: Any) -> Any:
    """Return what ``json.dumps`` can write; numbers keep six digits, which is more than any screen shows."""
    if is_dataclass(value):
        return {json_key(item): to_plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, tuple):
        return [to_plain(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.6g}")
    return str(value) if isinstance(value, StrEnum) else value


def from_plain(kind: type[_Value], plain: Any) -> _Value:
    """Return the value of a type from its plain form; fields that the type does not have are left out.

    Raises AttributeError, KeyError, TypeError, ValueError where the plain form is of something else.
    """
    read: Callable[[Any], _Value] = _reader(cast("Any", kind))
    return read(plain)


@cache
def _reader(kind: Any) -> Callable[[Any], Any]:
    """Return what reads a type: made once, since a recording of ten minutes has half a million values to read."""
    if is_dataclass(kind):
        return _dataclass_reader(kind)
    if isinstance(kind, UnionType):
        # Something, or nothing: no field is one of two things.
        (something,) = (_reader(option) for option in get_args(kind) if option is not NoneType)
        return something if something is _as_it_is else lambda plain: None if plain is None else something(plain)
    if get_origin(kind) is tuple:
        return _tuple_reader(get_args(kind))
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return kind
    return pipeline_named if kind is Pipeline else _as_it_is


def _as_it_is(plain: Any) -> Any:
    return plain


def _dataclass_reader(kind: Any) -> Callable[[Any], Any]:
    hints = get_type_hints(kind)
    known = {json_key(item): (item.name, _reader(hints[item.name])) for item in fields(kind)}

    def read(plain: Any) -> Any:
        values = {}
        for key, item in plain.items():
            if (found := known.get(key)) is not None:
                name, reader = found
                values[name] = reader(item)
        return kind(**values)

    return read


def _tuple_reader(kinds: tuple[Any, ...]) -> Callable[[Any], Any]:
    if kinds[-1] is Ellipsis:
        reader = _reader(kinds[0])
        return tuple if reader is _as_it_is else lambda plain: tuple(map(reader, plain))
    readers = [_reader(kind) for kind in kinds]
    return lambda plain: tuple(read(item) for read, item in zip(readers, plain, strict=True))
