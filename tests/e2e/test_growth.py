"""After many orders nothing has grown but what must: the rows, the topic, and what is not processed yet.

The horizon is some seconds long here, so that its end is seen: what was remembered goes, what was counted stays.
"""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest
from aiokafka import AIOKafkaProducer
from redis.asyncio import Redis

from coffee_core.clock import now_us
from coffee_core.ids import new_message_id
from coffee_core.keys import STREAM, TOPIC, MetricKeys
from coffee_core.menu import DRINKS, STORES
from coffee_core.order import Order
from coffee_core.pipelines.constants import V2, V3
from coffee_core.resources import lua
from tests.e2e.flink_rest import active_taskmanager, running_job
from tests.e2e.lab import Lab
from tests.e2e.truth import shown_totals, stored_totals
from tests.waiting import until

HORIZON_S = 12
ORDERS = 10_000
AT_ONCE = 200
REPEATS = 100
REWRITE_FROM_BYTES = 1_000_000
WITHIN_S = 180.0


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def forgetful_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab = Lab(
        tmp_path_factory.mktemp("a forgetful lab") / "coffee home",
        "v1,v2,v3",
        COFFEE_DEDUP_HORIZON_H=f"{HORIZON_S / 3600:.6f}",
    )
    with lab.running():
        yield lab


@pytest.fixture
async def redis(forgetful_lab: Lab) -> AsyncIterator[Redis]:
    async with Redis.from_url(forgetful_lab.settings.redis_url, decode_responses=True) as opened:
        yield opened


def some(count: int) -> list[Order]:
    """Make orders of all kinds."""
    kinds = [(drink, store) for drink in DRINKS for store in STORES]
    return [
        Order(new_message_id(), *kinds[each % len(kinds)], 100 + each % 500, 1_750_000_000_000_000, now_us())
        for each in range(count)
    ]


async def add_to_stream(redis: Redis, orders: list[Order], remember_ms: int) -> None:
    """Put orders on the stream by the script of the API, which remembers their ids."""
    script = redis.register_script(lua("backend.pipelines.v2_streams", "add_orders"))
    names = [MetricKeys(V2).idempotency(str(order.message_id)) for order in orders]
    fields = [[item for pair in order.to_fields().items() for item in pair] for order in orders]
    arguments: list[Any] = [remember_ms, len(fields[0])]
    for order, items in zip(orders, fields, strict=True):
        arguments += [order.content, *items]
    assert await script(keys=[STREAM, *names], args=arguments) == 0


async def test_the_stream_holds_what_is_unprocessed_and_redis_forgets_the_rest(
    forgetful_lab: Lab, redis: Redis
) -> None:
    settings, metrics = forgetful_lab.settings, MetricKeys(V2)
    await redis.config_set("auto-aof-rewrite-min-size", REWRITE_FROM_BYTES)
    rewrites_before = (await redis.info("persistence"))["aof_rewrites"]

    async def unprocessed() -> int:
        async with redis.pipeline(transaction=True) as read:
            read.get(metrics.total_orders).xinfo_stream(STREAM)
            shown, stream = await read.execute()
        assert stream["entries-added"] - stream["length"] == int(shown or 0)
        return int(stream["length"])

    for _ in range(ORDERS // AT_ONCE):
        await add_to_stream(redis, some(AT_ONCE), settings.dedup_horizon_ms)
        await unprocessed()

    async def drained() -> bool:
        return await unprocessed() == 0

    await until(drained, WITHIN_S)
    assert await redis.get(metrics.total_orders) == str(ORDERS)
    assert await stored_totals(settings, V2) == await shown_totals(settings, V2)

    async def forgotten() -> bool:
        return [key async for key in redis.scan_iter(metrics.idempotency("*"), count=5_000)] == []

    await until(forgotten, WITHIN_S)

    async def rewritten() -> bool:
        about = await redis.info("persistence")
        return about["aof_rewrites"] > rewrites_before and about["aof_current_size"] < 3 * REWRITE_FROM_BYTES

    # A rewrite comes with a write: a few more orders, until what has been forgotten has left the file as well.
    while not await rewritten():
        await add_to_stream(redis, some(AT_ONCE), settings.dedup_horizon_ms)
        await until(drained, WITHIN_S)


class Job:
    """The running job, and the orders that go to it straight by the topic."""

    def __init__(self, lab: Lab, producer: AIOKafkaProducer) -> None:
        self.sent = 0
        self._lab = lab
        self._producer = producer

    async def send(self, orders: list[Order]) -> None:
        """Put orders on the topic."""
        for order in orders:
            items = ",".join(
                f'"{name}":"{value}"' if isinstance(value, str) else f'"{name}":{value}'
                for name, value in order.to_fields().items()
            )
            await self._producer.send(TOPIC, f"{{{items}}}".encode(), str(order.message_id).encode())
        await self._producer.flush()
        self.sent += len(orders)

    async def shows(self, orders: int) -> None:
        """Wait until exactly this many orders are shown."""

        async def there() -> bool:
            found = (await shown_totals(self._lab.settings, V3)).orders
            assert found <= orders
            return found == orders

        await until(there, WITHIN_S)

    async def checkpoint(self) -> tuple[int, int]:
        """Return the number and the size in bytes of the newest checkpoint; zeros where there is none yet."""
        async with aiohttp.ClientSession(self._lab.settings.flink_rest_url, raise_for_status=True) as session:
            job = await running_job(session)
            async with session.get(f"/jobs/{job}/checkpoints") as answer:
                newest = (await answer.json())["latest"]["completed"]
        return (int(newest["id"]), int(newest["state_size"])) if newest else (0, 0)


async def test_flink_forgets_ids_after_the_horizon_and_goes_on_counting(forgetful_lab: Lab) -> None:
    settings = forgetful_lab.settings
    async with AIOKafkaProducer(bootstrap_servers=settings.kafka_servers, linger_ms=5) as producer:
        job = Job(forgetful_lab, producer)
        first = some(ORDERS)
        # A repeat at once: later, on a slow machine, it might come after the horizon.
        await job.send(first[:REPEATS])
        await job.send(first[:REPEATS])
        await job.send(first[REPEATS:])
        await job.shows(ORDERS)
        known, full = await until(lambda: _at_least(job, 20 * ORDERS), WITHIN_S)

        # What is due goes when files are merged, and a checkpoint of something new makes a file: an order to each.
        # With all that a fast machine can send, the ids of the last seconds alone would fill half the state.
        async def cleared() -> bool:
            nonlocal known
            newest, size = await job.checkpoint()
            if newest > known:
                known = newest
                await job.send(some(1))
            return size < full / 2

        await until(cleared, WITHIN_S)
        await job.shows(job.sent - REPEATS)

        async def rows_have_followed() -> bool:
            return await stored_totals(settings, V3) == await shown_totals(settings, V3)

        await until(rows_have_followed, WITHIN_S)
        os.kill(forgetful_lab.pid_of(await active_taskmanager(settings)), signal.SIGKILL)
        await job.send(some(AT_ONCE))
        await job.shows(job.sent - REPEATS)
        await until(rows_have_followed, WITHIN_S)

        # The horizon of the promise: a repeat that comes later is an order to Flink, and none to PostgreSQL.
        await job.send(first[:1])
        await job.shows(job.sent - REPEATS)
        stored = (await stored_totals(settings, V3)).orders
        assert stored == job.sent - REPEATS - 1

        # Known for certain with the next checkpoint: until then the row might follow.
        async def audit_says_so() -> bool:
            done = await asyncio.to_thread(forgetful_lab.coffee, "audit", "--json", "--pipelines", "v3")
            (balance,) = json.loads(done.stdout)["pipelines"]
            return (done.returncode, balance["drift"]["orders"]) == (1, 1)

        await until(audit_says_so, WITHIN_S)


async def _at_least(job: Job, size: int) -> tuple[int, int] | None:
    newest = await job.checkpoint()
    return newest if newest[1] >= size else None


def test_what_flink_leaves_lying_about_lies_in_the_home(forgetful_lab: Lab) -> None:
    folder = forgetful_lab.home / "flink"
    assert list(folder.glob("tmp/flink-jobmanager/flink-web-*"))
    assert len(list(folder.glob("checkpoints/epoch-*/*/chk-*/_metadata"))) <= 4
