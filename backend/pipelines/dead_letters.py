"""Dead letters of pipelines with a log, and the message id under which one goes back on it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from coffee_core.errors import CoffeeError
from coffee_core.order import parse_uuid
from coffee_core.pipelines import Pipeline

KEY_CONFLICT = "key-conflict"
"""Reason of an order whose message id belongs to another order."""

_IDENTITY = ("message_id", "drink", "store", "price_cents", "ordered_at_us")
"""What makes an order the same as another: its key and its content (``Order.content``)."""

KEPT = "kept"
"""How the outcome of a letter begins that could not go back."""

LOST_THE_RACE = "somebody else was first"
"""Outcome of a letter that another command has dealt with meanwhile."""


class LetterError(CoffeeError):
    """A dead letter cannot be dealt with like this."""


@dataclass(frozen=True, slots=True)
class Letter:
    """An entry of a log that could not be stored."""

    id: str
    """What names it: v2 its id in ``orders:dead``, v3 partition:offset of the record."""
    origin: str
    """Where on the log it stood: an entry id, or partition:offset."""
    reason: str
    """Why: v2 ``malformed``, ``refused`` or ``key-conflict``; v3 in words."""
    detail: str
    """The same in words, naming the field; empty for v3."""
    time_us: int
    """When it became a dead letter: microseconds since the epoch."""
    fields: Mapping[str, Any]
    """The fields as they stood on the log; empty where the value was no object."""
    text: str = ""
    """v3: the value as it stood on the log, at most its first 100,000 characters."""


def new_message_id(pipeline: Pipeline, origin: str) -> UUID:
    """Return the message id of a letter that needs one: always the same for the same place on the log."""
    return uuid5(NAMESPACE_URL, f"coffee-rt:{pipeline}:{origin}")


def conflicting_id(pipeline: Pipeline, fields: Mapping[str, Any]) -> UUID:
    """Return the message id of an order whose own belongs to another order.

    It is made from that id and its content: an order that was sent twice under such a key dies twice, and is one.
    """
    return uuid5(NAMESPACE_URL, f"coffee-rt:{pipeline}:{json.dumps([fields.get(name) for name in _IDENTITY])}")


def requeued_id(pipeline: Pipeline, letter: Letter, repairs: Mapping[str, str]) -> UUID | None:
    """Return the message id that a letter must be given, or None where it can keep its own.

    A key conflict can never keep it: that id belongs to another order.
    """
    if letter.reason == KEY_CONFLICT:
        return conflicting_id(pipeline, {**letter.fields, **repairs})
    if parse_uuid(letter.fields.get("message_id")) is not None:
        return None
    return new_message_id(pipeline, letter.origin)


def choose(letters: list[Letter], ids: tuple[str, ...]) -> list[Letter]:
    """Return the letters of these ids, or all without ids. Raises LetterError naming one that is not there."""
    known = {letter.id: letter for letter in letters}
    if missing := [letter_id for letter_id in ids if letter_id not in known]:
        raise LetterError(f"there is no dead letter {missing[0]} (any more)")
    return [known[letter_id] for letter_id in ids] if ids else letters
