"""v3 id by id: every record of the topic must be a row that says the same, a repeat of one, or a dead letter.

What lies below the offsets that the job has committed was flushed to both sinks before: where that is nowhere, it
is lost. What lies above them may still be in flight.
"""

import json
from dataclasses import dataclass, field

from backend.daemon import Database
from backend.lab.audit_balance import Deep
from backend.lab.audit_kafka import KafkaLogs, Record
from backend.lab.resources import sql
from backend.lab.servers import Servers
from coffee_core.clock import to_datetime
from coffee_core.errors import OrderError
from coffee_core.keys import DEAD_TOPIC, FLINK_GROUP, TOPIC
from coffee_core.order import Order

EXAMPLES = 10
"""How many ids are named."""
_LOOK_UP = sql("audit_look_up")
_ROWS_BELOW = sql("audit_rows_below")


def read_order(value: bytes | None) -> Order | None:
    """Return the order of a record's value as the job reads it, or None where it must be a dead letter."""
    try:
        fields = json.loads(value or b"")
        return Order.from_fields(fields) if isinstance(fields, dict) else None
    except (ValueError, OrderError, RecursionError):
        return None


@dataclass(slots=True)
class _Findings:
    committed: dict[int, int]
    compared: int = 0
    own: int = 0
    conflicts: int = 0
    lost: list[str] = field(default_factory=list)
    altered: list[str] = field(default_factory=list)

    def missing(self, record: Record) -> None:
        if record.offset < self.committed.get(record.partition, 0):
            self.lost.append(record.origin)


async def deep_v3(servers: Servers, logs: KafkaLogs) -> Deep:
    """Read the whole topic and compare. Raises the errors of the servers."""
    found = _Findings(await logs.committed(FLINK_GROUP, TOPIC))
    letters: set[str] = set()
    async for batch in logs.records(DEAD_TOPIC, await logs.bounds(DEAD_TOPIC)):
        letters |= {(record.key or b"").decode(errors="replace") for record in batch}
    bounds = await logs.bounds(TOPIC)
    async for batch in logs.records(TOPIC, bounds):
        await _compare(servers.database, batch, letters, found)
    below = {partition: last for partition, (_, last) in bounds.items()}
    rows = await servers.database.fetchval(_ROWS_BELOW, list(below), list(below.values()))
    return Deep(
        compared=found.compared,
        scope="every record of the topic against the rows and the dead letters"
        + (f"; {found.conflicts} repeats said something else and were dropped" if found.conflicts else ""),
        lost=len(found.lost),
        lost_ids=found.lost[:EXAMPLES],
        altered=len(found.altered),
        altered_ids=found.altered[:EXAMPLES],
        # Rows that were stored while the topic was read are below the bounds too, and had a record of their own.
        unlogged=max(0, int(rows) - found.own),
    )


async def _compare(connection: Database, batch: list[Record], letters: set[str], found: _Findings) -> None:
    found.compared += len(batch)
    orders: list[tuple[Record, Order]] = []
    for record in batch:
        order = read_order(record.value)
        if order is not None:
            orders.append((record, order))
        elif record.origin not in letters:
            found.missing(record)
    rows = await connection.fetch(
        _LOOK_UP,
        "v3",
        [order.message_id for _, order in orders],
        [order.drink for _, order in orders],
        [order.store for _, order in orders],
        [order.price_cents for _, order in orders],
        [to_datetime(order.ordered_at_us) for _, order in orders],
        [record.origin for record, _ in orders],
    )
    for (record, _), row in zip(orders, rows, strict=True):
        if not row["found"]:
            if record.origin not in letters:
                found.missing(record)
        elif row["own"]:
            found.own += 1
            if not row["same"]:
                found.altered.append(record.origin)
        elif not row["same"] and record.origin not in letters:
            found.conflicts += 1
