"""The last record below each offset that the job has committed, by which a topic that lost its end is found out.

An offset means nothing on another log. A job that begins again from a checkpoint goes on at its offsets: where a
broker came back without the end of its log and has taken other orders since, it passes these over; beyond the end
it begins with the first record (its connector sets ``auto.offset.reset`` to that). Neither is an error to Flink.
So each API keeps with the committed offsets, in Redis, what tells the record below from any other, and looks
whether it is still there before it keeps the next one. What no checkpoint held is read again by itself.
"""

import asyncio
import logging
from collections.abc import Awaitable, Mapping
from typing import cast

from aiokafka.errors import KafkaError
from redis.asyncio import Redis

from backend.clients.daemon import OUTAGES, open_redis
from backend.clients.kafka import Bounds, KafkaLogs, open_logs
from backend.pipelines.topic.records import mark, offset_of
from coffee_core.errors import CoffeeError
from coffee_core.keys import FLINK_GROUP, TOPIC, MetricKeys
from coffee_core.pipelines.constants import V3
from coffee_core.settings import Settings
from coffee_core.standstill import Standstill

_KEY = MetricKeys(V3).last_records
_EVERY_S = 5.0
"""Seconds between two looks: a checkpoint comes every 15."""
_HOLES = 100
"""Offsets below a committed one among which its last record is looked for: markers of transactions take some."""
_log = logging.getLogger(__name__)


class LastRecords:
    """Keeps them for as long as it runs."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.standstill: Standstill | None = None
        """What has to be said of a topic that has lost its end."""

    async def run(self) -> None:
        """Look now and then, forever."""
        while True:
            try:
                async with open_redis(self._settings.redis_url) as client, open_logs(self._settings) as logs:
                    while True:
                        self.standstill = _standstill(await keep_last_records(client, logs))
                        await asyncio.sleep(_EVERY_S)
            except (CoffeeError, KafkaError, *OUTAGES) as error:
                _log.debug("whether the topic is the one that was read cannot be told: %s", error)
                await asyncio.sleep(_EVERY_S)


def _standstill(lost: tuple[int, ...]) -> Standstill | None:
    if not lost:
        return None
    return Standstill(
        f"{lost_ends(lost)}: the job has passed over what took its place, or has read the partition again",
        "`coffee audit --deep` names the orders; `coffee replay v3` counts what the topic holds now",
    )


def lost_ends(lost: tuple[int, ...]) -> str:
    """Say which partitions have lost their end."""
    return f"of {TOPIC} partition {', '.join(map(str, lost))} has lost its end, up to which the job had read"


async def keep_last_records(client: Redis, logs: KafkaLogs) -> tuple[int, ...]:
    """Keep the last records below the committed offsets; return the partitions that no longer hold what was kept.

    Of these the record that is gone stays, until a replay. Raises the errors of both servers.
    """
    committed, bounds = await logs.committed(FLINK_GROUP, TOPIC), await logs.bounds(TOPIC)
    known = await _known(client)
    lost = await _lost(logs, bounds, known)
    newer = {}
    for number in committed.keys() & bounds.keys() - set(lost):
        if number in known and offset_of(known[number]) + 1 == committed[number]:
            continue  # nothing has been committed since
        last = await _last_below(logs, number, bounds[number], committed[number])
        if last is not None:
            newer[str(number)] = last
    if newer:
        await cast("Awaitable[int]", client.hset(_KEY, mapping=newer))
    return lost


async def find_lost_ends(client: Redis, logs: KafkaLogs, bounds: Bounds) -> tuple[int, ...]:
    """Return the partitions that no longer hold the record that was kept of them. Raises both servers' errors."""
    return await _lost(logs, bounds, await _known(client))


async def _known(client: Redis) -> dict[int, str]:
    found = await cast("Awaitable[dict[str, str]]", client.hgetall(_KEY))
    try:
        known = {int(number): kept for number, kept in found.items()}
        for kept in known.values():
            offset_of(kept)
    except ValueError as error:
        raise CoffeeError(f"{_KEY} holds what nobody writes ({error}); delete it") from error
    return known


async def _lost(logs: KafkaLogs, bounds: Bounds, known: Mapping[int, str]) -> tuple[int, ...]:
    lost = []
    for number, kept in sorted(known.items()):
        offset = offset_of(kept)
        first, last = bounds.get(number, (0, 0))
        # What was deleted from the beginning on has not lost its end.
        if offset >= first and (
            offset >= last or await _last_below(logs, number, (offset, last), offset + 1) != kept
        ):
            lost.append(number)
    return tuple(lost)


async def _last_below(logs: KafkaLogs, number: int, bounds: tuple[int, int], offset: int) -> str | None:
    """Return the mark of the last record below an offset; None where none is near."""
    first, last = bounds
    within = {number: (max(first, offset - _HOLES), min(last, offset))}
    marks = [
        mark(record.offset, record.time_ms, record.key, record.value)
        async for batch in logs.records(TOPIC, within)
        for record in batch
    ]
    return marks[-1] if marks else None
