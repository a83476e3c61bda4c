"""The order, as every pipeline carries it, and its form on a log (a stream entry or a Kafka value)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from coffee_core.clock import MAX_TIME_US
from coffee_core.errors import OrderError
from coffee_core.menu import DRINKS, MAX_PRICE_CENTS, STORES

_UUID_TEXT_LENGTH = 36


@dataclass(frozen=True, slots=True)
class Order:
    """One accepted order."""

    message_id: UUID
    """The client's idempotency key or the API's UUIDv7: what makes a repeat a repeat."""
    drink: str
    """One of ``menu.DRINKS``."""
    store: str
    """One of ``menu.STORES``."""
    price_cents: int
    """Price in cents, 1 to ``menu.MAX_PRICE_CENTS``."""
    ordered_at_us: int
    """When the customer ordered, by the client: microseconds since the epoch."""
    accepted_at_us: int
    """When the API took it, by the API's clock: microseconds since the epoch."""

    def same_as(self, other: "Order") -> bool:
        """Tell whether two orders under one message id are the same order (accepted_at aside)."""
        return self.content == other.content

    @property
    def content(self) -> str:
        """What the client said, as one short text: two orders with the same content are the same order."""
        return f"{self.drink}|{self.store}|{self.price_cents}|{self.ordered_at_us}"

    def to_fields(self) -> dict[str, str | int]:
        """Return the flat form that is written to a log: field names and values in a fixed order."""
        return {
            "message_id": str(self.message_id),
            "drink": self.drink,
            "store": self.store,
            "price_cents": self.price_cents,
            "ordered_at_us": self.ordered_at_us,
            "accepted_at_us": self.accepted_at_us,
        }

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> "Order":
        """Read the flat form back, as strictly as the table's own checks.

        Raises OrderError naming the field that is missing or cannot be stored.
        """
        return cls(
            message_id=_uuid(fields),
            drink=_choice(fields, "drink", DRINKS),
            store=_choice(fields, "store", STORES),
            price_cents=_integer(fields, "price_cents", 1, MAX_PRICE_CENTS),
            ordered_at_us=_integer(fields, "ordered_at_us", 0, MAX_TIME_US),
            accepted_at_us=_integer(fields, "accepted_at_us", 0, MAX_TIME_US),
        )


def _text(fields: Mapping[str, Any], name: str) -> str:
    if name not in fields:
        raise OrderError(name, "is missing")
    value = fields[name]
    return value if isinstance(value, str) else str(value)


def _uuid(fields: Mapping[str, Any]) -> UUID:
    text = _text(fields, "message_id")
    try:
        if len(text) == _UUID_TEXT_LENGTH:
            return UUID(text)
    except ValueError:
        pass
    raise OrderError("message_id", f"is no UUID: {text[:40]!r}")


def _choice(fields: Mapping[str, Any], name: str, choices: tuple[str, ...]) -> str:
    text = _text(fields, name)
    if text not in choices:
        raise OrderError(name, f"must be one of {', '.join(choices)}, not {text[:40]!r}")
    return text


def _integer(fields: Mapping[str, Any], name: str, low: int, high: int) -> int:
    text = _text(fields, name)
    # isascii and isdecimal together: int() alone also takes "1_0", " 1" and Arabic digits.
    if not (text.isascii() and text.isdecimal() and len(text) <= 18 and low <= int(text) <= high):
        raise OrderError(name, f"must be a whole number from {low} to {high}, not {text[:40]!r}")
    return int(text)
