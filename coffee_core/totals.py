"""Totals of one pipeline: the content of the six metric keys, as one value that can be added and compared."""

from collections.abc import Iterable, Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any

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

    @property
    def hashes(self) -> tuple[Mapping[str, int], ...]:
        """The four breakdowns, in the order of ``MetricKeys.hashes``."""
        return self.drink_counts, self.drink_revenue_cents, self.store_counts, self.store_revenue_cents

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


def json_key(field: "Field[Any]") -> str:
    """Return the key under which a field of a dataclass is written to JSON: its name, unless it has another."""
    key: str = field.metadata.get("json_key", field.name)
    return key


@dataclass(frozen=True, slots=True)
class PipelineCounts:
    """What became of one pipeline's orders, in numbers; None is what could not be learned.

    The API counts them live; ``coffee audit`` finds them in the same words (``backend.pipelines.balance``).
    """

    accepted: int | None
    """Entries of the log; for v1, whose log is the table, its rows."""
    stored: int
    """Rows."""
    shown: int
    """Orders in the metrics."""
    in_flight: int | None
    """Entries (v1: rows) that have yet to be shown."""
    # The keys of `GET /api/lab` and of recordings are older than these two names, and stay.
    duplicates_dropped: int = field(metadata={"json_key": "duplicates"})
    """Entries dropped as repeats."""
    dead_letters: int = field(metadata={"json_key": "dead"})
    """Entries that could not be stored."""
    lost: int
    """Orders that have been shown or taken from the log, and have no row."""
    duplicated: int
    """Rows that the log does not account for."""
    drift: int
    """Shown beyond what is stored; negative: stored and neither shown nor in flight."""

    def as_json(self) -> dict[str, int | None]:
        """Return the counts by the keys of ``GET /api/lab``."""
        return {json_key(count): getattr(self, count.name) for count in fields(self)}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> "PipelineCounts":
        """Read what ``as_json`` has written. Raises TypeError where a key is missing or unknown."""
        names = {json_key(count): count.name for count in fields(cls)}
        return cls(**{names.get(key, key): value for key, value in raw.items()})
