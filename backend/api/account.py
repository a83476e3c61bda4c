"""What became of a pipeline's orders, by counts alone: cheap enough to be asked every second.

Counts of Redis and PostgreSQL are not of one moment. They are read in an order that makes each finding a bound
which holds under load: first Redis, then the rows, then Redis again, then the length of v3's log. What was shown
at first must have its row by then; what has a row must be shown, or in flight, afterwards. So nothing is called
lost that is merely on its way. The audit of the command line looks closer.
"""

from dataclasses import dataclass

from coffee_core.account import Account
from coffee_core.pipelines import Pipeline


@dataclass(frozen=True, slots=True)
class Counts:
    """What Redis says of one pipeline at one moment."""

    shown: int
    """Orders in the metrics."""
    duplicates: int = 0
    """Entries dropped as repeats."""
    dead: int = 0
    """Entries buried as dead letters."""
    counted: int | None = None
    """v3: orders of the job's state; None where Redis does not know."""
    added: int = 0
    """v2: entries ever added to the stream."""
    waiting: int = 0
    """v2: entries in the stream, which no worker has finished."""


def balance(pipeline: Pipeline, before: Counts, rows: int, after: Counts, log_end: int | None) -> Account:
    """Balance what was read in this order; ``log_end`` is the length of v3's log, None where Kafka did not say."""
    accepted, due, in_flight = _log(pipeline, before, rows, after, log_end)
    ahead, behind = max(0, before.shown - rows), 0
    if in_flight is not None and pipeline is not Pipeline.V1:
        behind = max(0, rows - after.shown - in_flight)
    logged = None if accepted is None else accepted - after.duplicates - after.dead
    return Account(
        accepted=accepted,
        stored=rows,
        shown=after.shown,
        in_flight=in_flight,
        duplicates=after.duplicates,
        dead=after.dead,
        lost=max(0, due - rows),
        duplicated=0 if logged is None else max(0, rows - logged),
        drift=ahead or -behind,
    )


def _log(
    pipeline: Pipeline, before: Counts, rows: int, after: Counts, log_end: int | None
) -> tuple[int | None, int, int | None]:
    """Return the entries of the log, the rows there must be by now, and the entries in flight."""
    if pipeline is Pipeline.V1:
        return rows, before.shown, max(0, rows - after.shown)
    if pipeline is Pipeline.V2:
        return after.added, before.added - before.waiting - before.duplicates - before.dead, after.waiting
    due = before.counted or 0
    if log_end is None or after.counted is None:
        return log_end, due, None
    return log_end, due, max(0, log_end - after.counted - after.duplicates - after.dead)
