"""Both groups for tests, one portion at a time and in any order, as rebalances, pauses and crashes may have it."""

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from aiokafka.structs import ConsumerRecord
from redis.asyncio import Redis

from backend.clients.daemon import Database
from backend.pipelines.balance import difference, stored
from backend.pipelines.v4_workers.aggregator import COUNT_BATCH, Counting
from backend.pipelines.v4_workers.reconcile import PACKAGE, SCRIPT_KEYS, read_stored, reconcile, take_cut
from backend.pipelines.v4_workers.records import DeadLetter, Portion
from backend.pipelines.v4_workers.worker import Store
from coffee_core.keys import WORKERS_TOPIC, MetricKeys
from coffee_core.order import Order
from coffee_core.pipelines.constants import V4
from coffee_core.resources import lua
from coffee_core.totals import Totals

HORIZON_MS = 3_600_000


class Groups:
    """A topic in memory, and one member of each group before it."""

    def __init__(self, connection: Database, client: Redis, horizon_ms: int = HORIZON_MS) -> None:
        self.connection = connection
        self.client = client
        self.letters: dict[str, str] = {}
        """Place of each dead letter → its reason; what becomes of letters is for a real topic to show."""
        self.worker = Store(connection, client, self, horizon_ms)
        self.aggregator = Counting(client, horizon_ms, client.register_script(COUNT_BATCH))
        self._topic: defaultdict[int, list[bytes | None]] = defaultdict(list)

    async def send(self, letters: Sequence[DeadLetter]) -> None:
        """Take dead letters, as the letter box does."""
        self.letters |= {f"{each.record.partition}:{each.record.offset}": each.reason for each in letters}

    def put(self, partition: int, *values: Order | bytes | None) -> Portion:
        """Put records on the topic; return what a member would be handed of them."""
        log = self._topic[partition]
        first = len(log)
        log += [encode(value) if isinstance(value, Order) else value for value in values]
        return self.portion(partition, first, len(log))

    def lose_topic(self) -> None:
        """Begin every partition at offset 0 again, without what was on it."""
        self._topic.clear()

    async def count_for_long(self) -> None:
        """Let the aggregator have remembered what it counts since long before these tests."""
        await self.client.hset(MetricKeys(V4).counters, "counted_since_us", 1)  # type: ignore[misc]

    def portion(self, partition: int, first: int, last: int) -> Portion:
        """Return the records of a partition from an offset up to another one."""
        records = [record(partition, offset, self._topic[partition][offset]) for offset in range(first, last)]
        return Portion(partition, first, last, records)

    async def store(self, *portions: Portion) -> None:
        await self.worker.process(portions)

    async def count(self, *portions: Portion) -> None:
        await self.aggregator.process(portions)

    async def both(self, *portions: Portion) -> None:
        await self.store(*portions)
        await self.count(*portions)

    async def drift(self) -> Totals:
        """Return what is shown minus what is stored."""
        return difference((await take_cut(self.client)).shown, await stored(self.connection, V4))

    async def reconciled(self) -> Totals:
        """Reconcile where and for as long as the aggregator would, and return what is off afterwards."""
        check = self.client.register_script(lua(PACKAGE, "check_metrics"))
        while True:
            consistent, settled = await check(keys=SCRIPT_KEYS)
            if consistent and settled == await self.doubts():
                return await self.drift()
            assert await reconcile(self.connection, self.client) is not None

    async def shown(self) -> int:
        return (await take_cut(self.client)).shown.orders

    async def doubts(self) -> int:
        return (await read_stored(self.connection)).doubts


def encode(order: Order) -> bytes:
    return json.dumps(order.to_fields(), separators=(",", ":")).encode()


def record(partition: int, offset: int, value: bytes | None) -> "ConsumerRecord[Any, Any]":
    return ConsumerRecord(WORKERS_TOPIC, partition, offset, 0, 0, b"", value, None, 0, 0, ())
