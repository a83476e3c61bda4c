"""The balance of v2: entries ever added to the stream against rows, repeats, dead letters and what waits."""

import json
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from backend.clients.daemon import Database
from backend.clients.servers import Servers
from backend.pipelines.balance import (
    Balance,
    Deep,
    difference,
    number,
    same_content,
    same_source,
    shown_totals,
    unlogged,
)
from backend.pipelines.v2_streams.reconcile import expected_totals, mapping, take_cut
from coffee_core.keys import DEAD_STREAM, STREAM, STREAM_GROUP
from coffee_core.pipelines.constants import V2
from coffee_core.resources import lua, sql
from coffee_core.totals import Totals


@dataclass(frozen=True, slots=True)
class StreamLog:
    """What the stream and the counters beside it say at one cut."""

    added: int
    """Entries ever added."""
    length: int
    """Entries in it: each is deleted in the step that counts, drops or buries it."""
    duplicates: int
    """Entries dropped as repeats."""
    dead: int
    """Entries buried."""
    letters: int = 0
    """Dead letters that are still there."""
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
    shown = shown_totals(cut["orders"], cut["revenue"], [mapping(held) for held in cut["hashes"]])
    log = StreamLog(**{name: number(name, value) for name, value in cut["log"].items()})
    connection = servers.database
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        stored = await expected_totals(connection, cut)
        copies = await same_source(connection, V2)
        alike = await same_content(connection, V2, unique_timestamps=True) if unique_timestamps else copies
        foreign = await unlogged(connection, V2)
    return balance_v2(log, shown, stored, copies, foreign, alike)


def balance_v2(
    log: StreamLog, shown: Totals, stored: Totals, copies: Totals, foreign: int, alike: Totals | None = None
) -> Balance:
    """Balance a cut: ``stored`` are the rows whose entry has left the stream.

    ``copies`` are rows beyond the first of their entry, ``foreign`` rows without an entry, ``alike`` rows beyond
    the first of their order.
    """
    from_the_log = stored.orders - copies.orders - foreign
    rest = log.added + log.written_off - log.length - log.duplicates - log.dead - from_the_log
    letters_gone = log.dead - log.letters - log.requeued - log.dropped
    notes = []
    if letters_gone > 0:
        notes.append(f"{letters_gone} dead letters have gone from orders:dead without --drop or --requeue")
    elif letters_gone < 0:
        notes.append(f"{-letters_gone} dead letters more than the worker's counter knows: was it deleted?")
    if log.requeued or log.dropped:
        notes.append(f"of the dead letters {log.requeued} were requeued and {log.dropped} dropped")
    if log.written_off:
        notes.append(
            f"{log.written_off:,} stored orders are of a log that was lost: a new balance began with them"
        )
    if rest < 0:
        notes.append("a flush took the log? `coffee reconcile v2 --new-balance` begins a new one with these rows")
    return Balance(
        pipeline=V2,
        accepted=log.added,
        stored=stored,
        shown=shown,
        duplicates_dropped=log.duplicates,
        dead_letters=log.dead,
        in_flight=log.length,
        lost=max(0, rest) + max(0, letters_gone),
        duplicated=alike if alike is not None and alike.orders > copies.orders else copies,
        drift=difference(shown, stored),
        log_short=foreign + max(0, -rest),
        notes=tuple(notes),
    )


# v2 id by id: what the stream still has, what is pending and what is dead, against the rows.
#
# An entry that was stored, dropped or buried is deleted from the stream: of those only the rows and the dead
# letters are left to compare; their number is what the balance is for.


EXAMPLES = 10
"""How many ids are named."""
_SCOPE = "what is pending or dead; the stream keeps no entry that was finished"
_ROWS_OF = sql("backend.pipelines.v2_streams", "audit_rows_of")
_COPIES = sql("backend.pipelines.v2_streams", "audit_copies")


async def deep_v2(servers: Servers) -> Deep:
    """Compare. Raises the errors of both servers."""
    return await _deep(servers.client, servers.database)


async def _deep(client: Redis, connection: Database) -> Deep:
    script = client.register_script(lua("backend.pipelines.v2_streams", "audit_pending"))
    found = json.loads(await script(keys=(STREAM, DEAD_STREAM), args=(STREAM_GROUP,)))
    gone, in_stream, origins = (found[name].split() for name in ("gone", "in_stream", "origins"))
    # A pending entry that was deleted after it was stored is a row, and waits for its count alone.
    stored = await _sources(connection, gone)
    lost = [entry_id for entry_id in gone if entry_id not in stored]
    both = sorted(await _sources(connection, origins))
    copies = [str(row["source_id"]) for row in await connection.fetch(_COPIES, "v2", EXAMPLES)]
    return Deep(
        compared=int(found["pending"]) + len(in_stream) + len(origins),
        scope=_SCOPE,
        lost=len(lost),
        lost_ids=lost[:EXAMPLES],
        altered=len(both),
        altered_ids=both[:EXAMPLES],
        unlogged=len(copies),
    )


async def _sources(connection: Database, entry_ids: list[str]) -> set[str]:
    rows = await connection.fetch(_ROWS_OF, "v2", entry_ids) if entry_ids else []
    return {str(row["source_id"]) for row in rows}
