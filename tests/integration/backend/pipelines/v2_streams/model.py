"""What must be true in the end, whatever happened on the way: a model of a few lines."""

from collections import Counter
from collections.abc import Iterable, Mapping

from redis.asyncio import Redis

from backend.clients.daemon import Database
from backend.pipelines.v2_streams.batch import METRICS
from coffee_core import keys
from tests.integration.backend.pipelines.v2_streams.bench import assert_exact

Entry = tuple[str, str, Mapping[str, str]]
"""Entry id, what it is (``order``, ``refused``, ``malformed``), and its fields."""


async def assert_as_the_model(connection: Database, client: Redis, entries: Iterable[Entry]) -> None:
    """Compare rows, metrics, dead letters, repeats dropped, stream and pending entries with what was posted.

    Of the orders under one key whichever was stored first is the row (workers overtake one another); from that
    the model concludes what each of the others must have become.
    """
    by_key: dict[str, dict[str, Mapping[str, str]]] = {}
    letters = Counter[tuple[str, str]]()
    for entry_id, kind, fields in entries:
        if kind == "order":
            by_key.setdefault(fields["message_id"], {})[entry_id] = fields
        else:
            letters[entry_id, kind] += 1
    rows = {
        str(row["message_id"]): row
        for row in await connection.fetch("select message_id, price_cents, source_id from orders_v2")
    }
    assert rows.keys() == by_key.keys()
    repeats = 0
    for key, group in by_key.items():
        kept = group[rows[key]["source_id"]]
        assert rows[key]["price_cents"] == int(kept["price_cents"])
        for entry_id, fields in group.items():
            if fields["price_cents"] != kept["price_cents"]:
                letters[entry_id, "key-conflict"] += 1
            elif fields is not kept:
                repeats += 1
    buried = [fields for _, fields in await client.xrange(keys.DEAD_STREAM)]
    assert Counter((letter["origin"], letter["reason"]) for letter in buried) == letters
    # One by one: beside them there may be the claim of a worker that died while it reconciled.
    dropped, dead, suspect = await client.hmget(METRICS.counters, ["duplicates", "dead", "suspect"])
    assert (int(dropped or 0), int(dead or 0), suspect) == (repeats, letters.total(), None)
    await assert_exact(connection, client, len(rows))
