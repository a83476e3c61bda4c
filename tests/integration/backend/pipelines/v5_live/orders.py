"""Orders of v5 as the API adds them, without the API."""

import random
from uuid import UUID

from backend.clients.daemon import Database
from coffee_core.clock import now_us
from coffee_core.ids import new_message_id
from coffee_core.menu import DRINKS, STORES
from coffee_core.resources import sql

_ADD = sql("backend.pipelines.v5_live", "add_orders")


async def place(connection: Database, count: int = 1, *, late_us: int = 0, hot: bool = False) -> list[UUID]:
    """Commit a group of orders that were accepted so many µs ago; return their message ids."""
    dice, now = random.Random(count), now_us()
    ids = [new_message_id() for _ in range(count)]
    drinks, stores = ([dice.choice(names) for _ in ids] for names in (DRINKS, STORES))
    prices = [dice.randint(1, 1_000) for _ in ids]
    moments = [now - late_us] * count
    added = await connection.fetchval(_ADD, ids, drinks, stores, prices, moments, moments, hot)
    assert added is None, "one of them was there"
    return ids
