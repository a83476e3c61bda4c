"""Totals of one pipeline: what the six metric keys say, as one value that can be added and compared."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from coffee_core.menu import DRINKS, STORES
from coffee_core.order import Order


def _zero(names: tuple[str, ...]) -> dict[str, int]:
    return dict.fromkeys(names, 0)


@dataclass(frozen=True, slots=True)
class Totals:
    """Orders and revenue, overall and for each drink and store."""

    orders: int = 0
    """Number of orders."""
    revenue_cents: int = 0
    """Revenue in cents."""
    drink_counts: Mapping[str, int] = field(default_factory=lambda: _zero(DRINKS))
    """Drink → orders; every drink of the menu is there."""
    drink_revenue_cents: Mapping[str, int] = field(default_factory=lambda: _zero(DRINKS))
    """Drink → cents."""
    store_counts: Mapping[str, int] = field(default_factory=lambda: _zero(STORES))
    """Store → orders."""
    store_revenue_cents: Mapping[str, int] = field(default_factory=lambda: _zero(STORES))
    """Store → cents."""

    @classmethod
    def of(cls, orders: Iterable[Order]) -> "Totals":
        """Add up distinct orders."""
        return cls.of_groups((order.drink, order.store, 1, order.price_cents) for order in orders)

    @classmethod
    def of_groups(cls, groups: Iterable[tuple[str, str, int, int]]) -> "Totals":
        """Add up rows of (drink, store, orders, cents)."""
        drink_counts, drink_revenue = _zero(DRINKS), _zero(DRINKS)
        store_counts, store_revenue = _zero(STORES), _zero(STORES)
        for drink, store, count, cents in groups:
            drink_counts[drink] += count
            drink_revenue[drink] += cents
            store_counts[store] += count
            store_revenue[store] += cents
        return cls(
            sum(drink_counts.values()),
            sum(drink_revenue.values()),
            drink_counts,
            drink_revenue,
            store_counts,
            store_revenue,
        )


# What became of a pipeline's orders.


@dataclass(frozen=True, slots=True)
class Account:
    """One pipeline's orders, as the API counts and the dashboard shows them; None is what could not be learned."""

    accepted: int | None
    """Entries of the log; for v1, whose log is the table, its rows."""
    stored: int
    """Rows."""
    shown: int
    """Orders in the metrics."""
    in_flight: int | None
    """Entries (v1: rows) that have yet to be shown."""
    duplicates: int
    """Entries dropped as repeats."""
    dead: int
    """Entries buried as dead letters."""
    lost: int
    """Orders that have been shown or taken from the log, and have no row."""
    duplicated: int
    """Rows that the log does not account for."""
    drift: int
    """Shown beyond what is stored; negative: stored and neither shown nor in flight."""
