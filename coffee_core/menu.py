"""What is sold, and where. Every column, key field and constraint is made from these two tuples."""

DRINKS: tuple[str, ...] = ("cappuccino", "americano", "latte")
"""Drinks on the menu; a change is a migration of the table's check and a replay of v3."""

STORES: tuple[str, ...] = ("uptown", "downtown", "central", "southend")
"""Stores that take orders."""

MAX_PRICE_CENTS = 1_000_000
"""Highest price of one order, in cents (10,000.00)."""
