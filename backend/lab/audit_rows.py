"""What the audit asks of the rows alone: which are one too many, which have no place on the log."""

from collections.abc import Iterable
from typing import Any

from backend.daemon import Database
from backend.lab.resources import sql
from coffee_core.pipelines import Pipeline
from coffee_core.tally import Tally

_SAME_SOURCE = sql("audit_same_source")
_SAME_CONTENT = sql("audit_same_content")
_UNLOGGED = sql("audit_unlogged")
_STORED = sql("audit_stored")
_SOURCE = {Pipeline.V2: "^[0-9]{1,18}-[0-9]{1,20}$", Pipeline.V3: "^[0-9]{1,9}:[0-9]{1,18}$"}


async def stored(connection: Database, pipeline: Pipeline) -> Tally:
    """Add up the rows of a partition. Raises asyncpg's errors."""
    return tally(await connection.fetch(_STORED, str(pipeline)))


async def same_source(connection: Database, pipeline: Pipeline) -> Tally:
    """Add up the rows beyond the first of each entry of the log. Raises asyncpg's errors."""
    return tally(await connection.fetch(_SAME_SOURCE, str(pipeline)))


async def same_content(connection: Database, pipeline: Pipeline, unique_timestamps: bool) -> Tally:
    """Add up the rows beyond the first of each order, whatever their ids.

    The same order is one of the same content accepted in the same microsecond, and not in the same batch; with
    ``unique_timestamps`` one of the same content, whenever it was accepted. Raises asyncpg's errors.
    """
    return tally(await connection.fetch(_SAME_CONTENT, str(pipeline), unique_timestamps))


async def unlogged(connection: Database, pipeline: Pipeline) -> int:
    """Count rows whose source is no place on the pipeline's log. Raises asyncpg's errors."""
    return int(await connection.fetchval(_UNLOGGED, str(pipeline), _SOURCE[pipeline]))


def tally(rows: Iterable[Any]) -> Tally:
    """Make a tally of rows of (drink, store, orders, cents)."""
    return Tally.of_groups((row["drink"], row["store"], row["orders"], row["cents"]) for row in rows)
