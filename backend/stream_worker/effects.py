"""Gives a stored batch its effect in Redis: one script acknowledges, counts, drops and buries."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

import msgspec
from redis.asyncio import Redis

from backend.stream_worker.entries import Batch, Placed
from backend.stream_worker.resources import lua
from coffee_core import keys
from coffee_core.pipelines import Pipeline

METRICS = keys.MetricKeys(Pipeline.V2)
SCRIPT_KEYS = (keys.STREAM, keys.DEAD_STREAM, METRICS.counters, METRICS.latency, *METRICS.metrics)
"""The keys of every script, in the order that ``lua/shared.lua`` names."""
Group: TypeAlias = tuple[str, str, list[str], list[int], list[int]]
"""Drink, store; then of each order its entry id, cents, and when it was accepted in µs."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of a batch."""

    sound: bool
    """The metrics were whole before it, every acknowledgement took effect, no entry was gone; else reconcile."""
    counted: int
    """Orders added to the metrics."""
    late: int
    """Orders stored here whose entry was no longer pending: another worker's, or the stream was flushed."""


class Effects:
    """The scripts of a consumer on one client; each is loaded where the server does not know it (any more)."""

    def __init__(self, client: Redis, consumer: str) -> None:
        self._consumer = consumer
        self._apply = client.register_script(lua("apply"))
        self._check = client.register_script(lua("check"))

    async def apply(self, batch: Batch) -> Applied:
        """Apply a batch as a whole or not at all; entries that are not pending (any more) have no effect.

        Raises an error of Redis before anything is written where a key has the wrong type or memory is full.
        """
        verdicts = {
            "placed": _groups(batch.placed),
            "duplicates": batch.duplicates,
            "dead": [(each.entry_id, each.reason, each.detail) for each in batch.dead],
            "gone": batch.gone,
        }
        args = (keys.STREAM_GROUP, self._consumer, batch.entries, msgspec.json.encode(verdicts))
        sound, counted, late = await self._apply(keys=SCRIPT_KEYS, args=args)
        return Applied(sound == 1, counted, late)

    async def sound(self) -> bool:
        """Tell whether the metrics are there, agree with one another and are not under suspicion."""
        return bool(await self._check(keys=SCRIPT_KEYS))


def _groups(placed: Iterable[Placed]) -> list[Group]:
    """Sort orders by drink and store: what is the same for all of a group is said and added once."""
    groups: dict[tuple[str, str], Group] = {}
    for each in placed:
        order = each.order
        kind = order.drink, order.store
        if kind not in groups:
            groups[kind] = (*kind, [], [], [])
        _, _, entry_ids, cents, accepted_at_us = groups[kind]
        entry_ids.append(each.entry_id)
        cents.append(order.price_cents)
        accepted_at_us.append(order.accepted_at_us)
    return list(groups.values())
