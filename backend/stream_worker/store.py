"""Stores a batch in PostgreSQL and finds out which of its entries the rows came from."""

from collections.abc import Sequence

import asyncpg

from backend.daemon import Database
from backend.stream_worker.entries import Batch, DeadLetter, Placed, printable
from backend.stream_worker.resources import sql
from coffee_core.clock import to_datetime
from coffee_core.errors import CoffeeError

_INSERT = sql("insert")
_READ_BACK = sql("read_back")
_REFUSED_CLASSES = ("22", "23")


class RowVanishedError(CoffeeError):
    """An order was removed from the table while it was being stored; the batch must be taken again."""


async def store(connection: Database, batch: Batch) -> None:
    """Insert and commit the orders of a batch; afterwards ``placed`` holds those alone whose row is their own.

    The others have become duplicates or dead letters. Raises asyncpg's errors, after which some of the batch may
    be stored and the whole of it can be stored again, and RowVanishedError.
    """
    placed, batch.placed = batch.placed, []
    if placed:
        await _store(connection, placed, batch)


async def _store(connection: Database, placed: Sequence[Placed], batch: Batch) -> None:
    try:
        inserted = await _insert(connection, placed)
    except asyncpg.PostgresError as error:
        if (error.sqlstate or "")[:2] not in _REFUSED_CLASSES:
            raise
        if len(placed) == 1:
            detail = printable(f"{error.sqlstate}: {error}")
            batch.dead.append(DeadLetter(placed[0].entry_id, "refused", detail))
            return
        half = len(placed) // 2
        await _store(connection, placed[:half], batch)
        await _store(connection, placed[half:], batch)
        return
    if inserted == len(placed):
        # Every entry has made a row, so every row is its own: nothing to read back.
        batch.placed.extend(placed)
    else:
        await _sort_out(connection, placed, batch)


async def _insert(connection: Database, placed: Sequence[Placed]) -> int:
    orders = [each.order for each in placed]
    status = await connection.execute(
        _INSERT,
        [order.message_id for order in orders],
        [order.drink for order in orders],
        [order.store for order in orders],
        [order.price_cents for order in orders],
        [to_datetime(order.ordered_at_us) for order in orders],
        [to_datetime(order.accepted_at_us) for order in orders],
        [each.entry_id for each in placed],
    )
    return int(status.rpartition(" ")[2])


async def _sort_out(connection: Database, placed: Sequence[Placed], batch: Batch) -> None:
    orders = [each.order for each in placed]
    rows = await connection.fetch(
        _READ_BACK,
        [order.message_id for order in orders],
        [order.drink for order in orders],
        [order.store for order in orders],
        [order.price_cents for order in orders],
        [to_datetime(order.ordered_at_us) for order in orders],
        [each.entry_id for each in placed],
    )
    for each, row in zip(placed, rows, strict=True):
        if not row["found"]:
            raise RowVanishedError
        if not row["same"]:
            detail = f"message_id {each.order.message_id} belongs to another order"
            batch.dead.append(DeadLetter(each.entry_id, "key-conflict", detail))
        elif row["own"]:
            batch.placed.append(each)
        else:
            batch.duplicates.append(each.entry_id)
