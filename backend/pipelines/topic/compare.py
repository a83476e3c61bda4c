"""Id by id: every record of a topic must be a row with the same content, a repeat of one, or a dead letter."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from backend.clients.daemon import Database
from backend.clients.kafka import KafkaLogs, Record
from backend.clients.servers import Servers
from backend.pipelines.balance import IdComparison
from backend.pipelines.topic.records import read_order
from coffee_core.order import Order
from coffee_core.pipelines import Pipeline
from coffee_core.resources import sql

_ROWS_BELOW = sql("backend.pipelines.topic", "count_rows_below")
_MOST_NAMED = 10
"""How many ids are named."""


@dataclass(slots=True)
class _IdFindings:
    """What was found so far; ``lost`` and ``altered`` are places on the topic."""

    finished: Mapping[int, int]
    """Partition → the offset below which every record has become what it becomes."""
    compared: int = 0
    own: int = 0
    """Records that have a row of their own."""
    conflicts: int = 0
    """Repeats that are another order than the one first stored."""
    lost: list[str] = field(default_factory=list)
    altered: list[str] = field(default_factory=list)

    def note_missing(self, record: Record) -> None:
        if record.offset < self.finished.get(record.partition, 0):
            self.lost.append(record.origin)


async def compare_ids(
    servers: Servers, logs: KafkaLogs, pipeline: Pipeline, finished: Mapping[int, int]
) -> IdComparison:
    """Read the whole topic of a pipeline and compare it with the rows. Raises the errors of the servers.

    What lies below these offsets, by partition, and is nowhere, is lost. What lies above may still be in flight.
    """
    log = pipeline.info.log
    assert log is not None, f"{pipeline} has a topic"
    found = _IdFindings(finished)
    letters: set[str] = set()
    async for batch in logs.records(log.dead_letters, await logs.bounds(log.dead_letters)):
        letters |= {(record.key or b"").decode(errors="replace") for record in batch}
    bounds = await logs.bounds(log.name)
    async for batch in logs.records(log.name, bounds):
        await _compare(servers.database, pipeline, batch, letters, found)
    below = {partition: last for partition, (_, last) in bounds.items()}
    rows = await servers.database.fetchval(_ROWS_BELOW, str(pipeline), list(below), list(below.values()))
    return IdComparison(
        compared=found.compared,
        scope="every record of the topic against the rows and the dead letters"
        + (f"; {found.conflicts} repeats said something else and were dropped" if found.conflicts else ""),
        lost=len(found.lost),
        lost_ids=found.lost[:_MOST_NAMED],
        altered=len(found.altered),
        altered_ids=found.altered[:_MOST_NAMED],
        # Rows that were stored while the topic was read are below the bounds too, and had a record of their own.
        unlogged=max(0, int(rows) - found.own),
    )


async def _compare(
    connection: Database, pipeline: Pipeline, batch: list[Record], letters: set[str], found: _IdFindings
) -> None:
    found.compared += len(batch)
    orders: list[tuple[Record, Order]] = []
    for record in batch:
        order = read_order(record.value)
        if order is not None:
            orders.append((record, order))
        elif record.origin not in letters:
            found.note_missing(record)
    rows = await look_up(connection, pipeline, [(record.origin, order) for record, order in orders])
    for (record, _), row in zip(orders, rows, strict=True):
        if not row["found"]:
            if record.origin not in letters:
                found.note_missing(record)
        elif row["own"]:
            found.own += 1
            if not row["same"]:
                found.altered.append(record.origin)
        elif not row["same"] and record.origin not in letters:
            found.conflicts += 1


_LOOK_UP = sql("backend.pipelines.topic", "look_up")


async def look_up(connection: Database, pipeline: Pipeline, orders: Sequence[tuple[str, Order]]) -> list[Any]:
    """Look for the rows of orders, of which the place on the topic comes first; the answer is in their order.

    For each it has ``found``: there is a row under the message id; ``own``: that row came from this place;
    ``same``: its content agrees. Raises asyncpg's errors.
    """
    rows: list[Any] = await connection.fetch(
        _LOOK_UP,
        str(pipeline),
        [order.message_id for _, order in orders],
        [order.drink for _, order in orders],
        [order.store for _, order in orders],
        [order.price_cents for _, order in orders],
        [order.ordered_at_us for _, order in orders],
        [place for place, _ in orders],
    )
    return rows
