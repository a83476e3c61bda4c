"""Money is integer cents from the moment it is parsed."""

from decimal import Decimal

from coffee_core.errors import OrderError
from coffee_core.menu import MAX_PRICE_CENTS

_CENT = Decimal("0.01")


def to_cents(price: Decimal) -> int:
    """Turn a price with at most two decimal places, 0 < price ≤ 10,000, into cents.

    Raises OrderError naming the field ``price``.
    """
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


def from_cents(cents: int) -> str:
    """Write cents as a decimal amount with thousands separators, e.g. ``1,234.50``."""
    sign = "-" if cents < 0 else ""
    return f"{sign}{abs(cents) // 100:,}.{abs(cents) % 100:02d}"
