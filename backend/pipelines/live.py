"""The live audit's arithmetic: what became of a pipeline's orders by counts alone, cheap enough for every second.

Counts of Redis and PostgreSQL are not of one moment. They are read in an order that makes each finding a bound
which holds under load: first Redis, then the rows, then Redis again, then the length of a log that is not in
Redis. What was shown at first must have its row by then; what has a row must be shown, or in flight, afterwards.
So nothing is called lost that is merely on its way. The audit of the command line looks closer.
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from coffee_core.standstill import Standstill
from coffee_core.totals import PipelineCounts


@dataclass(frozen=True, slots=True)
class Counts:
    """The counts of one pipeline in Redis at one moment."""

    shown: int
    """Orders in the metrics."""
    duplicates: int = 0
    """Entries dropped as repeats."""
    dead: int = 0
    """Entries that became dead letters."""
    counted: int | None = None
    """Orders of the processor's own state, where it keeps one; None where Redis does not hold it."""
    added: int = 0
    """Entries ever added to the stream, where the log is one."""
    waiting: int = 0
    """Entries in the stream, which no worker has finished."""


class Logged(NamedTuple):
    """The counts of a log; None where unknown."""

    accepted: int | None
    """Entries ever logged."""
    due: int
    """Rows there must have been when they were counted."""
    in_flight: int | None
    """Entries that wait or are being worked on."""
    unstored: int = 0
    """Entries at most that are shown before they are rows, and on their way to become some."""


class LiveLog:
    """A log as the live audit needs it; this one belongs to a pipeline whose rows are its log."""

    must_stand: ClassVar[bool] = False
    """Whether rows and metrics go their own ways, so that only what stands for a while is a finding."""
    shown_later: ClassVar[bool] = True
    """Whether rows are shown some time after they are stored, without anything being wrong."""

    blocked: Standstill | None = None
    """What kept all readers of the log from going on when its length was last asked for."""

    async def length(self) -> int | None:
        """Return the length of a log that is not in Redis; None where it is not known."""
        return None

    def logged(self, before: Counts, rows: int, after: Counts, length: int | None) -> Logged:  # noqa: ARG002
        """Return what follows from counts read in this order."""
        return Logged(rows, before.shown, max(0, rows - after.shown))

    async def close(self) -> None:
        """Close the connections that ``length`` has opened."""


def balance(log: LiveLog, before: Counts, rows: int, after: Counts, length: int | None) -> PipelineCounts:
    """Balance what was read in this order; ``length`` is None where it is not known."""
    accepted, due, in_flight, unstored = log.logged(before, rows, after, length)
    ahead, behind = max(0, before.shown - rows - unstored), 0
    if in_flight is not None and not log.shown_later:
        behind = max(0, rows - after.shown - in_flight)
    expected = None if accepted is None else accepted - after.duplicates - after.dead
    return PipelineCounts(
        accepted=accepted,
        stored=rows,
        shown=after.shown,
        in_flight=in_flight,
        duplicates_dropped=after.duplicates,
        dead_letters=after.dead,
        lost=max(0, due - rows - unstored),
        duplicated=0 if expected is None else max(0, rows - expected),
        drift=ahead or -behind,
    )
