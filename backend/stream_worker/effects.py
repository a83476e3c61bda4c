"""Gives a stored batch its effect in Redis: one script acknowledges, counts, drops and buries."""

import json
from dataclasses import dataclass

from redis.asyncio import Redis

from backend.stream_worker.entries import Batch
from backend.stream_worker.resources import lua
from coffee_core import keys
from coffee_core.pipelines import Pipeline

METRICS = keys.MetricKeys(Pipeline.V2)
SCRIPT_KEYS = (keys.STREAM, keys.DEAD_STREAM, METRICS.counters, METRICS.latency, *METRICS.metrics)
"""The keys of every script, in the order that ``lua/shared.lua`` names."""


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
    """The scripts of the worker on one client; each is loaded where the server does not know it (any more)."""

    def __init__(self, client: Redis) -> None:
        self._apply = client.register_script(lua("apply"))
        self._check = client.register_script(lua("check"))

    async def apply(self, batch: Batch) -> Applied:
        """Apply a batch as a whole or not at all; entries that are not pending (any more) have no effect.

        Raises an error of Redis before anything is written where a key has the wrong type or memory is full.
        """
        verdicts = {
            "placed": [
                (each.entry_id, order.drink, order.store, order.price_cents, order.accepted_at_us)
                for each in batch.placed
                for order in (each.order,)
            ],
            "duplicates": batch.duplicates,
            "dead": [(each.entry_id, each.reason, each.detail) for each in batch.dead],
            "gone": batch.gone,
        }
        sound, counted, late = await self._apply(
            keys=SCRIPT_KEYS, args=(keys.STREAM_GROUP, json.dumps(verdicts, separators=(",", ":")))
        )
        return Applied(sound == 1, counted, late)

    async def sound(self) -> bool:
        """Tell whether the metrics are there, agree with one another and are not under suspicion."""
        return bool(await self._check(keys=SCRIPT_KEYS))
