"""v2 id by id: what the stream still has, what is pending and what is dead, against the rows.

An entry that was stored, dropped or buried is deleted from the stream: of those only the rows and the dead letters
are left to compare; their number is what the balance is for.
"""

import json

from redis.asyncio import Redis

from backend.daemon import Database
from backend.lab.audit_balance import Deep
from backend.lab.resources import lua, sql
from backend.lab.servers import Servers
from coffee_core.keys import DEAD_STREAM, STREAM, STREAM_GROUP

EXAMPLES = 10
"""How many ids are named."""
_SCOPE = "what is pending or dead; the stream keeps no entry that was finished"
_ROWS_OF = sql("audit_rows_of")
_COPIES = sql("audit_copies")


async def deep_v2(servers: Servers) -> Deep:
    """Compare. Raises the errors of both servers."""
    return await _deep(servers.client, servers.database)


async def _deep(client: Redis, connection: Database) -> Deep:
    script = client.register_script(lua("audit_pending"))
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
