"""Frozen values as plain JSON and back: dataclasses become objects, tuples arrays, enumerations their words."""

from dataclasses import fields, is_dataclass
from enum import StrEnum
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

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
    return _read(kind, plain)  # type: ignore[no-any-return]


def _read(kind: Any, plain: Any) -> Any:
    if is_dataclass(kind):
        hints: dict[str, Any] = _hints(kind)  # type: ignore[arg-type]
        names = {json_key(item): item.name for item in fields(kind)}
        known = {names[key]: item for key, item in plain.items() if key in names}
        return kind(**{name: _read(hints[name], item) for name, item in known.items()})  # type: ignore[operator]
    if isinstance(kind, UnionType):
        # Something, or nothing: no field is one of two things.
        (something,) = (option for option in get_args(kind) if option is not NoneType)
        return None if plain is None else _read(something, plain)
    if get_origin(kind) is tuple:
        items = get_args(kind)
        kinds = [items[0]] * len(plain) if items[-1] is Ellipsis else items
        return tuple(_read(item_kind, item) for item_kind, item in zip(kinds, plain, strict=True))
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return kind(plain)
    return pipeline_named(plain) if kind is Pipeline else plain


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)
