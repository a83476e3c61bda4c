"""Orders of v5 as the API adds them, without the API."""

import random
from uuid import UUID

from backend.clients.daemon import Database
from coffee_core.clock import now_us
from coffee_core.ids import new_message_id
from coffee_core.menu import DRINKS, STORES
from coffee_core.resources import sql

_PACKAGE = "backend.pipelines.v5_live"
_ADD, _ADD_FRESH = sql(_PACKAGE, "add_orders"), sql(_PACKAGE, "add_fresh")


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
    statement = _ADD if repeatable else _ADD_FRESH
    added = await connection.fetchval(statement, ids, drinks, stores, prices, moments, moments, hot)
    assert added is None, "one of them was there"
    return ids
