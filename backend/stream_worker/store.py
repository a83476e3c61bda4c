"""Stores a batch in PostgreSQL and finds out which of its entries the rows came from."""

from collections.abc import Sequence
from typing import Any

import asyncpg

from backend.daemon import Database
from backend.stream_worker.entries import Batch, DeadLetter, Placed, printable
from backend.stream_worker.resources import sql
from coffee_core.errors import CoffeeError

_INSERT_NEW = sql("insert")
_INSERT = _INSERT_NEW + sql("first_kept")
_ALL_NEW_FROM = 50
"""Orders from which on a batch is first taken for all new: a backlog, where a repeat is rare and speed counts."""
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
    if len(placed) >= _ALL_NEW_FROM and await _all_new(connection, placed):
        batch.placed = placed
    elif placed:
        await _store(connection, placed, batch)


async def _all_new(connection: Database, placed: Sequence[Placed]) -> bool:
    """Insert and commit all of a batch; return False where one was a repeat or refused, so that none is stored."""
    try:
        return await _insert(connection, _INSERT_NEW, placed) == len(placed)
    except asyncpg.PostgresError as error:
        if _refused(error):
            return False
        raise


async def _store(connection: Database, placed: Sequence[Placed], batch: Batch) -> None:
    try:
        inserted = await _insert(connection, _INSERT, placed)
    except asyncpg.PostgresError as error:
        if not _refused(error):
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


def _refused(error: asyncpg.PostgresError) -> bool:
    return (error.sqlstate or "")[:2] in _REFUSED_CLASSES


async def _insert(connection: Database, statement: str, placed: Sequence[Placed]) -> int:
    """Return how many rows it has made."""
    status = await connection.execute(statement, *_columns(placed))
    return int(status.rpartition(" ")[2])


def _columns(placed: Sequence[Placed]) -> tuple[list[Any], ...]:
    """Return what all three statements take: times as microseconds, for the driver half the work of datetimes."""
    orders = [each.order for each in placed]
    return (
        [order.message_id for order in orders],
        [order.drink for order in orders],
        [order.store for order in orders],
        [order.price_cents for order in orders],
        [order.ordered_at_us for order in orders],
        [order.accepted_at_us for order in orders],
        [each.entry_id for each in placed],
    )


async def _sort_out(connection: Database, placed: Sequence[Placed], batch: Batch) -> None:
    rows = await connection.fetch(_READ_BACK, *_columns(placed))
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
