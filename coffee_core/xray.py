"""X-ray: one step of an order's way, as the API writes it down and the dashboard shows it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """One step of an order's way."""

    what: str
    """What it is, in a few words."""
    line: str
    """What was sent, as a command of a shell; of a step without a tool, what was written."""
    tool: str = ""
    """``curl``, ``psql`` or ``redis-cli``; empty: no command, a record to look at."""
    at_us: int | None = None
    """When, by the clock of who did it: microseconds since the epoch; None where that is not known."""
    note: str = ""
    """What it does when it is run again, or what else there is to know."""
