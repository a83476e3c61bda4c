"""The order: what a valid one is, and the forms that it has.

This is the one place that decides it. The API reads what clients send with ``Content.parse``, every reader of a
log with ``Order.from_fields``; ``backend/api/openapi.yaml`` shows clients the same fields, patterns and limits,
and a test holds it against these.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from coffee_core.clock import EPOCH, MAX_TIME_US, MICROSECOND
from coffee_core.errors import OrderError
from coffee_core.menu import DRINKS, MAX_PRICE_CENTS, STORES

FIELDS = ("drink", "store", "price", "timestamp")
"""What a client's order consists of: all of these and nothing else."""
UUID_PATTERN = "[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
"""A message id as text, RFC 9562 §4; without anchors."""
_AFTER_YEAR = (
    r"-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
)
TIMESTAMP_PATTERN = f"(19[7-9][0-9]|[2-9][0-9]{{3}}){_AFTER_YEAR}"
"""RFC 3339 §5.6 with its offset, without anchors, for clients: a pattern cannot check that it is a real date.

Also accepted: 1969-12-31 with an offset behind UTC, where that is 1970 in UTC."""

_UUID = re.compile(UUID_PATTERN)
_TIMESTAMP = re.compile(f"[0-9]{{4}}{_AFTER_YEAR}")
_CENT = Decimal("0.01")
_SHOWN = 40
"""Characters of a wrong value that are repeated to the client."""


class Content(NamedTuple):
    """What the client ordered."""

    drink: str
    """One of ``menu.DRINKS``."""
    store: str
    """One of ``menu.STORES``."""
    price_cents: int
    """Price in cents, 1 to ``menu.MAX_PRICE_CENTS``."""
    ordered_at_us: int
    """When the customer ordered, by the client: microseconds since the epoch."""

    @classmethod
    def parse(cls, fields: Mapping[str, Any]) -> "Content":
        """Read the members of a client's JSON object; a number in it is an int or a Decimal, never a float.

        Raises OrderError naming the first field that is wrong, in the order of FIELDS, or one that is not known.
        """
        try:
            content = cls(
                _choice(fields, "drink", DRINKS),
                _choice(fields, "store", STORES),
                parse_price(fields["price"]),
                parse_timestamp_us(fields["timestamp"]),
            )
        except KeyError as missing:
            raise OrderError(missing.args[0], "is missing") from None
        if len(fields) != len(FIELDS):
            unknown = next(name for name in fields if name not in FIELDS)[:_SHOWN]
            raise OrderError(unknown, "is no field of an order")
        return content


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
        """What the client ordered, as one short text: two orders with the same content are the same order."""
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
        try:
            return cls(
                message_id=_message_id(fields["message_id"]),
                drink=_choice(fields, "drink", DRINKS),
                store=_choice(fields, "store", STORES),
                price_cents=_integer(fields, "price_cents", 1, MAX_PRICE_CENTS),
                ordered_at_us=_integer(fields, "ordered_at_us", 0, MAX_TIME_US),
                accepted_at_us=_integer(fields, "accepted_at_us", 0, MAX_TIME_US),
            )
        except KeyError as missing:
            raise OrderError(missing.args[0], "is missing") from None


def parse_uuid(text: object) -> UUID | None:
    """Read a UUID as RFC 9562 §4 writes it, 8-4-4-4-12 hexadecimal digits of either case; None: it is none."""
    # UUID() alone also takes braces, "urn:", dashes anywhere, "_", "+", "0x" and the digits of other scripts.
    return UUID(text) if isinstance(text, str) and _UUID.fullmatch(text) else None


def parse_idempotency_key(header: str) -> UUID:
    """Read an ``Idempotency-Key`` header: a UUID, bare or as the IETF draft's quoted string.

    Raises OrderError naming the field ``Idempotency-Key``.
    """
    text = header.strip(" \t")  # what HTTP calls blanks: strip() alone takes those of other scripts, too
    if len(text) >= 2 and text[0] == text[-1] == '"':
        text = text[1:-1]
    if (key := parse_uuid(text)) is None:
        raise OrderError("Idempotency-Key", "must be a UUID, e.g. 0190f5fe-7c1e-7abc-8def-0123456789ab")
    return key


def parse_timestamp_us(text: object) -> int:
    """Read an RFC 3339 timestamp with an offset, years 1970 to 9999, into microseconds since the epoch.

    Raises OrderError naming the field ``timestamp``.
    """
    if not isinstance(text, str):
        raise OrderError("timestamp", "must be a string")
    # fromisoformat() alone also takes week dates, bare dates, and an offset of +05:60.
    if not _TIMESTAMP.fullmatch(text):
        raise OrderError(
            "timestamp", "must be RFC 3339 with an offset and at most six decimals, e.g. 2025-01-15T10:00:00Z"
        )
    try:
        microseconds = (datetime.fromisoformat(text.upper()) - EPOCH) // MICROSECOND
    except (ValueError, OverflowError) as error:
        raise OrderError("timestamp", f"is no date and time ({error})") from error
    if not 0 <= microseconds <= MAX_TIME_US:
        raise OrderError("timestamp", "must lie between the years 1970 and 9999")
    return microseconds


def parse_price(price: object) -> int:
    """Turn a price (a Decimal or an int) with at most two decimal places, 0 < price ≤ 10,000, into cents.

    Raises OrderError naming the field ``price``.
    """
    if not isinstance(price, Decimal):
        if not isinstance(price, int) or isinstance(price, bool):
            raise OrderError("price", "must be a JSON number, e.g. 4.50")
        price = Decimal(price)
    if not price.is_finite():
        raise OrderError("price", "must be a finite number")
    # The bounds come first: a huge exponent must not be expanded into a huge integer.
    if not 0 < price <= MAX_PRICE_CENTS * _CENT:
        raise OrderError("price", f"must be greater than 0 and at most {MAX_PRICE_CENTS // 100}")
    # quantize, not normalize: the latter rounds to 28 digits, and 5.000…0001 would pass as 5.
    cents = price.quantize(_CENT)
    if cents != price:
        raise OrderError("price", "must have at most two decimal places")
    return int(cents.scaleb(2))


def _message_id(value: object) -> UUID:
    if (message_id := parse_uuid(value)) is None:
        raise OrderError("message_id", f"is no UUID: {str(value)[:_SHOWN]!r}")
    return message_id


def _choice(fields: Mapping[str, Any], name: str, choices: tuple[str, ...]) -> str:
    value: str = fields[name]
    if value in choices:
        return value
    if not isinstance(value, str):
        raise OrderError(name, "must be a string")
    raise OrderError(name, f"must be one of {', '.join(choices)}, not {value[:_SHOWN]!r}")


def _integer(fields: Mapping[str, Any], name: str, low: int, high: int) -> int:
    text = str(fields[name])
    # isascii and isdecimal together: int() alone also takes "1_0", " 1" and Arabic digits.
    if not (text.isascii() and text.isdecimal() and len(text) <= 18 and low <= int(text) <= high):
        raise OrderError(name, f"must be a whole number from {low} to {high}, not {text[:_SHOWN]!r}")
    return int(text)
