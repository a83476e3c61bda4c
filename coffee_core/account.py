"""What became of a pipeline's orders."""

from dataclasses import dataclass


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
