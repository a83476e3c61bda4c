"""Orders of v5 as the API adds them, without the API."""

import random
from uuid import UUID

from backend.clients.daemon import Database
from backend.pipelines.v5_live.ingest import ADD, ADD_FRESH
from coffee_core.clock import now_us
from coffee_core.ids import new_message_id
from coffee_core.menu import DRINKS, STORES


async def place(
    connection: Database, count: int = 1, *, late_us: int = 0, hot: bool = False, repeatable: bool = True
) -> list[UUID]:
    """Commit a group of orders that were accepted so many µs ago; return their message ids.

    ``repeatable``: as those that a client may send again.
    """
    dice, now = random.Random(count), now_us()
    ids = [new_message_id() for _ in range(count)]
    drinks, stores = ([dice.choice(names) for _ in ids] for names in (DRINKS, STORES))
    prices = [dice.randint(1, 1_000) for _ in ids]
    moments = [now - late_us] * count
    statement = ADD if repeatable else ADD_FRESH
    added = await connection.fetchval(statement, ids, drinks, stores, prices, moments, moments, hot)
    assert added is None, "one of them was there"
    return ids
