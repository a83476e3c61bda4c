"""The balance of a pipeline: what it accepted, what became of it, and what does not add up."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from redis.asyncio import Redis

from backend.clients.daemon import Database
from coffee_core import metrics
from coffee_core.errors import CoffeeError
from coffee_core.keys import MetricKeys
from coffee_core.menu import MAX_PRICE_CENTS
from coffee_core.money import from_cents
from coffee_core.pipelines import LogKind, Pipeline
from coffee_core.resources import sql
from coffee_core.standstill import Standstill
from coffee_core.totals import Totals


@dataclass(frozen=True, slots=True)
class Balance:
    """The counts of one pipeline at one moment."""

    pipeline: Pipeline
    accepted: int
    """Entries of the log (v1 has none: there the table is the log)."""
    stored: Totals
    """Rows."""
    shown: Totals
    """The six metrics."""
    duplicates_dropped: int | None
    """Entries of the log that repeated an order; None for v1, whose repeats never enter anything."""
    dead_letters: int | None
    """Entries of the log that could not be stored; None for v1, which refuses them with the request."""
    in_flight: int
    """Entries (v1: rows) that have yet to be shown, and are accounted for."""
    lost: int
    """Entries of the log that are neither row, duplicate, dead letter nor in flight."""
    duplicated: Totals
    """Rows beyond the one that their entry (or, where timestamps are unique, their order) may have."""
    drift: Totals
    """What is shown minus what of it is stored, with its sign; nothing where orders in flight explain it."""
    log_short: int = 0
    """Orders that came out of a log which no longer accounts for them: it was flushed, cut off or deleted, or rows
    were put in past it. Losses cannot be seen in a log that is itself lost."""
    truncated: int = 0
    """Acknowledged records that the log has lost with its end (v3, v4): no more orders are lost by it, and fewer
    where their rows were stored."""
    windows_off: tuple[str, ...] = ()
    """Windows and late orders of v3 that Redis shows otherwise than the rows have them, store by store."""
    notes: tuple[str, ...] = ()
    """Remarks for people, in sentences."""
    deep: "IdComparison | None" = None
    """What a comparison id by id has found, where one was asked for."""
    standstill: Standstill | None = None
    """Why what is in flight waits, where nobody works on it; who audits asks the API for it."""

    @property
    def balanced(self) -> bool:
        """Nothing lost, nothing duplicated, no drift, and the log accounts for everything."""
        agrees = not self.lost and not self.log_short and is_zero(self.duplicated) and is_zero(self.drift)
        agrees = agrees and not self.windows_off and not self.truncated
        return agrees and (self.deep is None or self.deep.agrees)

    @property
    def lost_totals(self) -> Totals | None:
        """The lost orders with cents, drinks and stores, where the metrics remember them; else None."""
        if not self.lost:
            return NOTHING
        # What was shown beyond one row for each entry.
        beyond = total(self.drift, self.duplicated)
        return beyond if beyond.orders == self.lost and min(amounts(beyond)) >= 0 else None

    def with_notes(self, *notes: str) -> "Balance":
        """Return the same balance with more notes."""
        return replace(self, notes=(*self.notes, *notes))


@dataclass(frozen=True, slots=True)
class IdComparison:
    """What a comparison of the log with the rows, id by id, has found; lists of ids hold the first ten."""

    compared: int
    """Entries of the log that were compared one by one."""
    scope: str
    """What was compared with what, in words."""
    lost: int = 0
    """Entries that must be somewhere and are nowhere."""
    lost_ids: list[str] = field(default_factory=list)
    """Which: ids of entries (v3: partition:offset)."""
    altered: int = 0
    """Rows whose content differs from that of their entry, and entries that are both a row and a dead letter."""
    altered_ids: list[str] = field(default_factory=list)
    """Which: ids of entries."""
    unlogged: int = 0
    """Rows without an entry of their own."""
    stuck: int = 0
    """Entries of v2 that are in the stream and would never be delivered to anybody: a worker takes them up by
    itself, `coffee replay v2` at once. They are in flight, not lost."""
    stuck_ids: list[str] = field(default_factory=list)
    """Which: ids of entries."""

    @property
    def agrees(self) -> bool:
        """Every id was found where it belongs."""
        return not (self.lost or self.altered or self.unlogged)


# Arithmetic on totals: every number may be negative.


def difference(one: Totals, other: Totals) -> Totals:
    """Return ``one`` minus ``other``, field by field, also of fields that are on no menu."""
    return _combine(one, other, lambda a, b: a - b)


def total(one: Totals, other: Totals) -> Totals:
    """Return the sum, field by field."""
    return _combine(one, other, lambda a, b: a + b)


def _combine(one: Totals, other: Totals, by: Callable[[int, int], int]) -> Totals:
    def fields(a: Mapping[str, int], b: Mapping[str, int]) -> dict[str, int]:
        return {name: by(a.get(name, 0), b.get(name, 0)) for name in dict.fromkeys((*a, *b))}

    return Totals(
        by(one.orders, other.orders),
        by(one.revenue_cents, other.revenue_cents),
        *(fields(a, b) for a, b in zip(one.hashes, other.hashes, strict=True)),
    )


def amounts(totals: Totals) -> list[int]:
    """Return every number of these totals."""
    return [totals.orders, totals.revenue_cents, *(number for hash_ in totals.hashes for number in hash_.values())]


def is_zero(totals: Totals) -> bool:
    """Tell whether every number is zero."""
    return not any(amounts(totals))


NOTHING = difference(Totals(), Totals())
"""Zero in every field."""


def explained_by_in_flight(shown: Totals, stored: Totals, not_shown: int, not_stored: int) -> bool:
    """Tell whether orders in flight explain a difference.

    These are whole orders at prices they can have: no more than ``not_shown`` that are stored and not shown yet,
    and no more than ``not_stored`` that are shown and not stored yet. Both may be there at once.
    """
    ahead = difference(stored, shown)
    fewest = 0
    for counts, cents in (
        (ahead.drink_counts, ahead.drink_revenue_cents),
        (ahead.store_counts, ahead.store_revenue_cents),
    ):
        if (sum(counts.values()), sum(cents.values())) != (ahead.orders, ahead.revenue_cents):
            return False
        names = {*counts, *cents}
        fewest = max(fewest, sum(_fewest_ahead(counts.get(name, 0), cents.get(name, 0)) for name in names))
    return fewest <= not_shown and fewest - ahead.orders <= not_stored


def _fewest_ahead(count: int, cents: int) -> int:
    """Return how many orders of one field must be ahead, where others that make up its difference may be behind.

    With n ahead and n - count behind, the cents lie between n - (n - count) * MAX and n * MAX - (n - count).
    """
    for_more, for_less = cents - count, count * MAX_PRICE_CENTS - cents
    return max(0, count, *(-(-needed // (MAX_PRICE_CENTS - 1)) for needed in (for_more, for_less)))


# Reading what Redis shows.


async def read_shown(client: Redis, keys: MetricKeys) -> tuple[Totals, str | None, dict[str, str]]:
    """Return the metrics, the fence and the counters of a pipeline, all of one moment.

    Raises an error of Redis, and CoffeeError where a metric is no number.
    """
    async with client.pipeline(transaction=True) as read:
        for command in metrics.read_commands(keys):
            read.execute_command(*command)
        read.get(keys.fence)
        *replies, fence = await read.execute()
    with _naming_the_remedy():
        shown = metrics.parse_metrics(replies)
    return shown.totals, fence, dict(shown.counters)


def shown_totals(orders: str | None, revenue: str | None, hashes: Sequence[Mapping[str, Any]]) -> Totals:
    """Return what the six keys hold. Raises CoffeeError where a value is no whole number."""
    with _naming_the_remedy():
        return metrics.parse_totals(orders, revenue, hashes)


def whole_number(name: str, value: Any) -> int:
    """Return what a key or field holds, 0 where it is missing. Raises CoffeeError where it is no whole number."""
    with _naming_the_remedy():
        return metrics.whole_number(name, value)


@contextmanager
def _naming_the_remedy() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise CoffeeError(f"{error}; delete it") from error


# Reading the rows: how many there are, which are one too many, which have no place on the log.

_SAME_SOURCE = sql("backend.pipelines", "rows_of_same_source")
_SAME_CONTENT = sql("backend.pipelines", "rows_of_same_content")
_UNLOGGED = sql("backend.pipelines", "count_unlogged")
_STORED = sql("backend.pipelines", "stored_totals")
_PLACE = {
    LogKind.STREAM: "^[0-9]{1,20}-[0-9]{1,20}$",
    LogKind.TOPIC: "^[0-9]{1,9}:[0-9]{1,18}$",
    LogKind.TABLE: "^[0-9]{1,19}$",
}
"""Regular expression of a place on a log: an entry id, partition:offset, or a number."""


async def stored(connection: Database, pipeline: Pipeline) -> Totals:
    """Add up the rows of a partition. Raises asyncpg's errors."""
    return totals_of_rows(await connection.fetch(_STORED, str(pipeline)))


async def same_source(connection: Database, pipeline: Pipeline) -> Totals:
    """Add up the rows beyond the first of each entry of the log. Raises asyncpg's errors."""
    return totals_of_rows(await connection.fetch(_SAME_SOURCE, str(pipeline)))


async def same_content(connection: Database, pipeline: Pipeline, unique_timestamps: bool) -> Totals:
    """Add up the rows beyond the first of each order, whatever their ids.

    The same order is one of the same content accepted in the same microsecond, and not in the same batch; with
    ``unique_timestamps`` one of the same content, whenever it was accepted. Raises asyncpg's errors.
    """
    return totals_of_rows(await connection.fetch(_SAME_CONTENT, str(pipeline), unique_timestamps))


async def unlogged(connection: Database, pipeline: Pipeline) -> int:
    """Count rows whose source is no place on the pipeline's log; it must have one. Raises asyncpg's errors."""
    log = pipeline.info.log
    assert log is not None, f"{pipeline} has no log"
    return int(await connection.fetchval(_UNLOGGED, str(pipeline), _PLACE[log.kind]))


def totals_of_rows(rows: Iterable[Any]) -> Totals:
    """Add up rows of (drink, store, orders, cents)."""
    return Totals.of_groups((row["drink"], row["store"], row["orders"], row["cents"]) for row in rows)


# The report: in words and as JSON.

_HEADINGS = ("", "accepted", "stored", "shown", "repeats", "dead", "in flight", "lost", "duplicated", "drift")
_MOST_NAMED = 10


def as_table(balances: Sequence[Balance]) -> list[str]:
    """Return the lines of a table and, after it, the summary line and the details of each pipeline."""
    rows = [_HEADINGS, *(_row(balance) for balance in balances)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_HEADINGS))]
    lines = [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    for balance in balances:
        lines += ["", summary_line(balance), *(f"    {line}" for line in details(balance))]
    return lines


def _row(balance: Balance) -> tuple[str, ...]:
    dropped, dead = balance.duplicates_dropped, balance.dead_letters
    return (
        f"{balance.pipeline} {balance.pipeline.info.title}",
        f"{balance.accepted:,}",
        f"{balance.stored.orders:,}",
        f"{balance.shown.orders:,}",
        "–" if dropped is None else f"{dropped:,}",
        "–" if dead is None else f"{dead:,}",
        f"{balance.in_flight:,}",
        f"{balance.lost:,}",
        f"{balance.duplicated.orders:,}",
        _signed(balance.drift.orders),
    )


def summary_line(balance: Balance) -> str:
    """Return the balance in one line, e.g. ``v2: lost 0 · duplicated 0 · drift 0``."""
    parts = [
        f"lost {balance.lost:,}" + (_money(balance.lost_totals) if balance.lost else ""),
        f"duplicated {balance.duplicated.orders:,}" + (_money(balance.duplicated)),
        f"drift {_signed(balance.drift.orders)}" + (_money(balance.drift)),
    ]
    if balance.log_short:
        parts.append(f"log lost: {balance.log_short:,} stored orders are not accounted for by it")
    if balance.truncated:
        parts.append(f"log truncated: {balance.truncated:,} acknowledged records are gone")
    if balance.windows_off:
        parts.append(f"windows off: {len(balance.windows_off)}")
    parts += [f"{count:,} {what}" for count, _, what in _deep_findings(balance)]
    if balance.in_flight:
        parts.append(f"{balance.in_flight:,} in flight")
    return f"{balance.pipeline}: " + " · ".join(parts)


def details(balance: Balance) -> list[str]:
    """Return the lines below the summary line: fields that differ, notes, what was compared."""
    lines = []
    for name, totals in (("duplicated", balance.duplicated), ("drift", balance.drift)):
        if not is_zero(totals):
            lines.append(f"{name}: " + ", ".join(_fields(totals)))
    if balance.windows_off:
        more = " …" * (len(balance.windows_off) > _MOST_NAMED)
        lines.append("windows: " + ", ".join(balance.windows_off[:_MOST_NAMED]) + more)
        lines.append("Flink's state is their truth: `coffee replay v3` counts the whole topic anew")
    if balance.standstill is not None:
        lines.append(f"waits: {balance.standstill}")
    lines += balance.notes
    if (deep := balance.deep) is not None:
        lines.append(f"compared {deep.compared:,} one by one: {deep.scope}")
        for count, ids, what in _deep_findings(balance):
            named = f" ({', '.join(ids)}{' …' * (count > len(ids))})" if ids else ""
            lines.append(f"{what}: {count:,}{named}")
    return lines


def _deep_findings(balance: Balance) -> list[tuple[int, Sequence[str], str]]:
    """Return what a comparison one by one has found: how many, some of their ids, and what is off with them."""
    if (deep := balance.deep) is None:
        return []
    found: list[tuple[int, Sequence[str], str]] = [
        (deep.lost, deep.lost_ids, "nowhere"),
        (deep.altered, deep.altered_ids, "stored otherwise than the log has it"),
        (deep.unlogged, [], "rows without an entry of their own"),
        (deep.stuck, deep.stuck_ids, "stuck, in the stream and pending nowhere (`coffee replay v2`)"),
    ]
    return [finding for finding in found if finding[0]]


def _fields(totals: Totals) -> list[str]:
    fields = []
    overall = (totals.orders, totals.revenue_cents)
    if any(overall) and overall != (sum(totals.drink_counts.values()), sum(totals.drink_revenue_cents.values())):
        # A total that its drinks do not make up: somebody has touched it alone.
        fields.append(f"total {_signed(totals.orders)} ({_signed_money(totals.revenue_cents)})")
    for counts, cents in (
        (totals.drink_counts, totals.drink_revenue_cents),
        (totals.store_counts, totals.store_revenue_cents),
    ):
        for name in dict.fromkeys((*counts, *cents)):
            orders, money = counts.get(name, 0), cents.get(name, 0)
            if orders or money:
                fields.append(f"{name} {_signed(orders)} ({_signed_money(money)})")
    return fields


def _money(totals: Totals | None) -> str:
    if totals is None:
        return " (revenue unknown)"
    return f" ({_signed_money(totals.revenue_cents)})" if not is_zero(totals) else ""


def _signed(number: int) -> str:
    return f"{number:+,}" if number else "0"


def _signed_money(cents: int) -> str:
    return ("+" if cents > 0 else "") + from_cents(cents)


def as_json(balances: Sequence[Balance]) -> dict[str, Any]:
    """Return the whole audit; ``docs/audit.md`` describes it. Money is in cents."""
    return {
        "balanced": all(balance.balanced for balance in balances),
        "pipelines": [_pipeline_as_json(balance) for balance in balances],
    }


def _pipeline_as_json(balance: Balance) -> dict[str, Any]:
    lost = balance.lost_totals
    return {
        "pipeline": str(balance.pipeline),
        "balanced": balance.balanced,
        "accepted": balance.accepted,
        "stored": asdict(balance.stored),
        "shown": asdict(balance.shown),
        "duplicates_dropped": balance.duplicates_dropped,
        "dead_letters": balance.dead_letters,
        "in_flight": balance.in_flight,
        "lost": {"orders": balance.lost} if lost is None else asdict(lost),
        "duplicated": asdict(balance.duplicated),
        "drift": asdict(balance.drift),
        "log_short": balance.log_short,
        "truncated": balance.truncated,
        "windows_off": list(balance.windows_off),
        "standstill": None if balance.standstill is None else asdict(balance.standstill),
        "notes": list(balance.notes),
        "deep": None if balance.deep is None else asdict(balance.deep),
        "sentence": summary_line(balance),
    }
