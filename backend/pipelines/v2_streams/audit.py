"""The balance of v2: entries ever added to the stream against rows, repeats, dead letters and what waits."""

import json
from dataclasses import dataclass
from typing import Any

from backend.clients.daemon import Database
from backend.clients.servers import Servers
from backend.pipelines.balance import (
    Balance,
    IdComparison,
    difference,
    same_content,
    same_source,
    shown_totals,
    unlogged,
    whole_number,
)
from backend.pipelines.v2_streams.reconcile import expected_totals, hash_of_cut, take_cut
from coffee_core.keys import DEAD_STREAM, STREAM, STREAM_GROUP
from coffee_core.pipelines.constants import V2
from coffee_core.resources import lua, sql
from coffee_core.totals import Totals


@dataclass(frozen=True, slots=True)
class StreamCounts:
    """The counts of the stream and the counters beside it at one moment."""

    added: int
    """Entries ever added."""
    length: int
    """Entries in it: each is deleted in the step that counts it, drops it or makes it a dead letter."""
    duplicates: int
    """Entries dropped as repeats."""
    dead: int
    """Entries that became dead letters."""
    letters: int = 0
    """Dead letters in ``orders:dead`` now."""
    letters_added: int = 0
    """Dead letters ever added."""
    requeued: int = 0
    """Dead letters put back on the stream."""
    dropped: int = 0
    """Dead letters dropped by hand, as such."""
    written_off: int = 0
    """Orders out of a log that was lost, with which a new balance was begun."""


async def audit_v2(servers: Servers, *, unique_timestamps: bool) -> Balance:
    """Take the balance. Exact under load: one script reads all of Redis, and the rows are those of that cut.

    Raises the errors of both servers.
    """
    cut: Any = await take_cut(servers.client)
    shown = shown_totals(cut["orders"], cut["revenue"], [hash_of_cut(flat) for flat in cut["hashes"]])
    log = StreamCounts(**{name: whole_number(name, value) for name, value in cut["log"].items()})
    connection = servers.database
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        stored = await expected_totals(connection, cut)
        copies = await same_source(connection, V2)
        alike = await same_content(connection, V2, unique_timestamps=True) if unique_timestamps else copies
        off_log = await unlogged(connection, V2)
    return balance_v2(log, shown, stored, copies, off_log, alike)


def balance_v2(
    log: StreamCounts, shown: Totals, stored: Totals, copies: Totals, off_log: int, alike: Totals | None = None
) -> Balance:
    """Balance a cut: ``stored`` are the rows whose entry has left the stream.

    ``copies`` are rows beyond the first of their entry, ``off_log`` rows without an entry, ``alike`` rows beyond
    the first of their order.
    """
    from_log = stored.orders - copies.orders - off_log
    missing = log.added + log.written_off - log.length - log.duplicates - log.dead - from_log
    letters_missing = log.dead - log.letters - log.requeued - log.dropped
    notes = []
    if letters_missing > 0:
        notes.append(f"{letters_missing} dead letters have gone from orders:dead without --drop or --requeue")
    elif letters_missing < 0:
        notes.append(f"{-letters_missing} dead letters more than the worker's counter knows: was it deleted?")
    if log.requeued or log.dropped:
        notes.append(f"of the dead letters {log.requeued} were requeued and {log.dropped} dropped")
    if log.written_off:
        notes.append(
            f"{log.written_off:,} stored orders are of a log that was lost: a new balance began with them"
        )
    if missing < 0:
        notes.append("a flush took the log? `coffee reconcile v2 --new-balance` begins a new one with these rows")
    return Balance(
        pipeline=V2,
        accepted=log.added,
        stored=stored,
        shown=shown,
        duplicates_dropped=log.duplicates,
        dead_letters=log.dead,
        in_flight=log.length,
        lost=max(0, missing) + max(0, letters_missing),
        duplicated=alike if alike is not None and alike.orders > copies.orders else copies,
        drift=difference(shown, stored),
        log_short=off_log + max(0, -missing),
        notes=tuple(notes),
    )


# Id by id: what the stream still has, what is pending and what is dead, against the rows.

_STORED_ENTRIES = sql("backend.pipelines.v2_streams", "stored_entries")
_ENTRIES_WITH_COPIES = sql("backend.pipelines.v2_streams", "entries_with_copies")
_MOST_NAMED = 10
"""How many ids are named."""


async def compare_ids_v2(servers: Servers) -> IdComparison:
    """Compare entries with rows. Raises the errors of both servers.

    An entry that was stored, dropped or made a dead letter is deleted from the stream: of those only the rows and
    the dead letters are left to compare; their number is what the balance is for.
    """
    connection = servers.database
    script = servers.client.register_script(lua("backend.pipelines.v2_streams", "audit_pending"))
    found = json.loads(await script(keys=(STREAM, DEAD_STREAM), args=(STREAM_GROUP,)))
    deleted, in_stream, origins, stuck = (
        found[name].split() for name in ("gone", "in_stream", "origins", "stuck")
    )
    # A pending entry that was deleted after it was stored is a row, and waits for its count alone.
    stored = await _stored_entries(connection, deleted)
    lost = [entry_id for entry_id in deleted if entry_id not in stored]
    row_and_letter = sorted(await _stored_entries(connection, origins))
    copied = await connection.fetch(_ENTRIES_WITH_COPIES, str(V2), _MOST_NAMED)
    return IdComparison(
        compared=int(found["pending"]) + len(in_stream) + len(origins),
        scope="what is pending or dead; the stream keeps no entry that was finished",
        lost=len(lost),
        lost_ids=lost[:_MOST_NAMED],
        altered=len(row_and_letter),
        altered_ids=row_and_letter[:_MOST_NAMED],
        unlogged=len(copied),
        stuck=len(stuck),
        stuck_ids=stuck[:_MOST_NAMED],
    )


async def _stored_entries(connection: Database, entry_ids: list[str]) -> set[str]:
    rows = await connection.fetch(_STORED_ENTRIES, str(V2), entry_ids) if entry_ids else []
    return {str(row["source_id"]) for row in rows}
