"""v4 and a topic that lost its end while its broker was down, and has taken other orders since."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from redis.asyncio import Redis

from backend.clients.connections import Connections
from backend.pipelines.audit import audit
from backend.pipelines.balance import NOTHING
from backend.pipelines.operations import operations_of
from backend.pipelines.topic.ingest import KafkaIngest, open_topic_ingest
from backend.stack import kafka as kafka_stack
from backend.stack.topics import create_topics
from coffee_core.errors import OutcomeUnknownError, UnavailableError
from coffee_core.keys import WORKERS_TOPIC, MetricKeys
from coffee_core.order import Order
from coffee_core.pipelines.constants import V1, V4
from coffee_core.runstate import READY_FILE
from coffee_core.settings import Settings
from tests.integration.backend.pipelines.v2_streams.bench import mixed
from tests.integration.backend.pipelines.v4_workers.test_members import at_rest, members
from tests.servers import free_port, serving
from tests.waiting import until

KEYS = MetricKeys(V4)


@pytest.fixture
def own_broker(settings: Settings, tmp_path: Path) -> Settings:
    """Settings of a broker of this test alone, with one partition."""
    ports = {name: free_port() for name in ("kafka_port", "kafka_controller_port")}
    return replace(settings, home=tmp_path / "kafka home", pipelines=(V1, V4), topic_partitions=1, **ports)


def log_of(settings: Settings) -> Path:
    """Return the one file of the records of the topic's one partition."""
    (found,) = settings.home.rglob(f"{WORKERS_TOPIC}-0/*.log")
    return found


def cut(settings: Settings, size: int) -> None:
    """Take the end off the records, as a power cut does; what is beside them is made anew from them."""
    log = log_of(settings)
    os.truncate(log, size)
    for beside in [*log.parent.glob("*.index"), *log.parent.glob("*.timeindex"), *log.parent.glob("*.snapshot")]:
        beside.unlink()
    # Left behind by an end in order: the log would not be looked through.
    for clean in settings.home.rglob(".kafka_cleanshutdown"):
        clean.unlink()


@asynccontextmanager
async def api(settings: Settings) -> AsyncIterator[KafkaIngest]:
    """Take orders as an API does, whether there is a broker yet or not."""
    connections = Connections(settings)
    ingest = open_topic_ingest(connections, V4)
    async with connections.keep_open(lambda: pytest.fail("a dependency can no longer be watched")):
        yield ingest


async def accept(ingest: KafkaIngest, *orders: Order) -> None:
    for order in orders:

        async def taken(order: Order = order) -> bool:
            try:
                await ingest.submit(order, keyed=False)
            except (UnavailableError, OutcomeUnknownError):
                # The broker is yet to come, or no longer knows which sequence number this producer is at.
                return False
            return True

        await until(taken, within_s=60)


async def acknowledged(client: Redis, offset: int, truncated: int | None = None) -> None:
    """Wait until Redis keeps this offset as acknowledged, and what was found to be lost."""

    async def kept() -> bool:
        mark, lost = await client.hmget(KEYS.acknowledged, "0", "0:truncated")  # type: ignore[misc]
        return mark is not None and int(mark.split()[0]) >= offset and lost == (truncated and str(truncated))

    await until(kept)


async def stand_still(client: Redis) -> None:
    """Wait until both groups say that the topic is not the one that they read."""

    async def say_so() -> bool:
        said = await client.mget(KEYS.standstill, KEYS.storing_standstill)
        return all(text is not None and "has lost its end" in text for text in said)

    await until(say_so)


async def test_a_topic_that_lost_its_end_and_went_on_is_not_taken_for_the_same(
    own_broker: Settings, tmp_path: Path, client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, log, ready = own_broker, tmp_path / "kafka.log", tmp_path / "ready"
    monkeypatch.setenv(READY_FILE, str(ready))
    orders = mixed(50)
    part = kafka_stack.part(settings)
    async with AsyncExitStack() as living_on, api(settings) as first_api:
        with serving(part, settings, log, within_s=90):
            await create_topics(settings)
            await living_on.enter_async_context(members(settings))
            await accept(first_api, *orders[:20])
            await at_rest(settings, 20)
            assert ready.exists()
            kept = log_of(settings).stat().st_size
            await accept(first_api, *orders[20:30])
            await at_rest(settings, 30)
            await acknowledged(client, 29)
        cut(settings, kept)
        with serving(part, settings, log, within_s=90):
            # One that begins only now, and one that has lived on: what is lost is counted once.
            async with api(settings) as second_api:
                (balance,) = await audit(settings, (V4,), settle_s=0)
                assert balance.truncated == 10, "also before any API has found out"
                for at in range(30, 50, 2):
                    await accept(second_api, orders[at])
                    await accept(first_api, orders[at + 1])
                await acknowledged(client, 39, truncated=10)
            await stand_still(client)
            await living_on.aclose()
            # So do members that begin only now.
            await client.delete(KEYS.standstill, KEYS.storing_standstill)
            async with members(settings):
                await stand_still(client)
                assert not ready.exists(), "they have connected again and again, and can do nothing"
                (balance,) = await audit(settings, (V4,), settle_s=0)
                assert (balance.stored.orders, balance.shown.orders) == (30, 30), "nothing skipped, nothing mixed"
                assert balance.log_short
                assert balance.truncated == 10
                assert not balance.balanced
                assert any("has lost its end" in note for note in balance.notes)
                await operations_of(V4).replay(settings, lambda _done, _total: None)
                (balance,) = await audit(settings, (V4,))
                assert (balance.stored.orders, balance.shown.orders) == (50, 50)
                assert (balance.lost, balance.log_short, balance.drift) == (0, 10, NOTHING)
                assert balance.truncated == 10, "a replay does not bring them back"
                await until(ready.exists)
