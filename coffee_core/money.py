"""Money is integer cents from the moment that ``order.parse_price`` has read it."""


def from_cents(cents: int) -> str:
    """Write cents as a decimal amount with thousands separators, e.g. ``1,234.50``."""
    sign = "-" if cents < 0 else ""
    return f"{sign}{abs(cents) // 100:,}.{abs(cents) % 100:02d}"
