"""Brings v2's metrics back to what PostgreSQL holds, while workers go on counting.

One script takes a cut: the metrics M, the highest entry id L so far, the ids S still in the stream (perhaps
stored, not counted). What M should have been is rows(source_id ≤ L, not in S); the drift is the difference and is
added to whatever M has become since.
"""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from backend.clients.daemon import Database
from backend.pipelines.v2_streams.batch import SCRIPT_KEYS
from coffee_core.menu import DRINKS, STORES
from coffee_core.metrics import HASHES
from coffee_core.resources import lua, sql
from coffee_core.totals import Totals


@dataclass(frozen=True, slots=True)
class Drift:
    """What was added to the metrics; negative where they showed too much."""

    orders: int
    """Orders added."""
    revenue_cents: int
    """Cents added."""
    fields: Mapping[str, int]
    """Hash and field, as ``drink_counts.latte`` → orders or cents; only those that were off."""

    def __bool__(self) -> bool:
        return bool(self.orders or self.revenue_cents or self.fields)


async def reconcile(connection: Database, client: Redis) -> Drift | None:
    """Apply the drift and return it; None where another reconciliation or a flush came in between: try again.

    Costs a scan of the partition. Raises the errors of both servers, after which nothing has been applied (or, if
    the last answer was lost, all of it).
    """
    token = secrets.token_hex(8)
    cut = await take_cut(client, token)
    if cut is None:
        return None
    expected = await expected_totals(connection, cut)
    hashes = [_changes(hash_of_cut(flat), want) for flat, want in zip(cut["hashes"], expected.hashes, strict=True)]
    drift = Drift(
        expected.orders - int(cut["orders"]),
        expected.revenue_cents - int(cut["revenue"]),
        {
            f"{name}.{field}": by
            for name, changes in zip(HASHES, hashes, strict=True)
            for field, by, _ in changes
            if by
        },
    )
    correction = {
        "suspect": cut["suspect"],
        "shown": cut["shown"],
        "orders": cut["orders"],
        "add_orders": drift.orders,
        "add_revenue": drift.revenue_cents,
        "hashes": hashes,
    }
    applied = await client.register_script(lua("backend.pipelines.v2_streams", "correct_metrics"))(
        keys=SCRIPT_KEYS, args=(token, json.dumps(correction))
    )
    return drift if applied else None


_LEASE_US = 120_000_000
"""How long, in µs, a cut keeps others from taking theirs, so that two do not undo each other's for ever."""


async def take_cut(client: Redis, token: str = "") -> Any:
    """Return the cut as its script writes it; without a token nothing is claimed, so nothing can be corrected.

    None where another holds the claim. Raises an error of Redis.
    """
    answer = await client.register_script(lua("backend.pipelines.v2_streams", "cut"))(
        keys=SCRIPT_KEYS, args=(token, _LEASE_US)
    )
    return None if answer is None else json.loads(answer)


_TOTALS = sql("backend.pipelines.v2_streams", "totals")
_SCAN_TIMEOUT_S = 110.0
"""Seconds after which the scan is given up: before the lease ends."""


async def expected_totals(connection: Database, cut: Any) -> Totals:
    """Add up the rows that the metrics of a cut must show. Raises asyncpg's errors."""
    groups = await connection.fetch(
        _TOTALS, int(cut["id_ms"]), int(cut["id_seq"]), cut["in_stream"].split(), timeout=_SCAN_TIMEOUT_S
    )
    return Totals.of_groups((row["drink"], row["store"], row["orders"], row["cents"]) for row in groups)


def hash_of_cut(flat: list[str] | dict[str, str]) -> dict[str, int]:
    """Return a hash of the cut, field → number."""
    # Lua has one kind of table: an empty list arrives as an empty object.
    if isinstance(flat, dict):
        return {}
    return {field: int(value) for field, value in zip(flat[::2], flat[1::2], strict=True)}


def _changes(held: Mapping[str, int], wanted: Mapping[str, int]) -> list[tuple[str, int, bool]]:
    """Return field, amount to add and whether it is on the menu; every field of the menu, so that each exists."""
    menu = {*DRINKS, *STORES}
    return [
        (field, wanted.get(field, 0) - held.get(field, 0), field in menu) for field in sorted({*held, *wanted})
    ]
