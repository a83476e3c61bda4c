"""v4 and a topic that lost its end while its broker was down, and has taken other orders since."""

import os
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from redis.asyncio import Redis

from backend.pipelines.audit import audit
from backend.pipelines.balance import NOTHING
from backend.pipelines.operations import operations_of
from backend.stack import kafka as kafka_stack
from backend.stack.topics import create_topics
from coffee_core.keys import WORKERS_TOPIC, MetricKeys
from coffee_core.pipelines.constants import V1, V4
from coffee_core.runstate import READY_FILE
from coffee_core.settings import Settings
from tests.integration.backend.pipelines.v2_streams.bench import mixed
from tests.integration.backend.pipelines.v4_workers.test_members import accept, at_rest, members, producing
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
    async with AsyncExitStack() as living_on:
        with serving(part, settings, log, within_s=90):
            await create_topics(settings)
            await living_on.enter_async_context(members(settings))
            async with producing(settings) as producer:
                await accept(producer, *orders[:20])
                await at_rest(settings, 20)
                assert ready.exists()
                kept = log_of(settings).stat().st_size
                await accept(producer, *orders[20:30])
                await at_rest(settings, 30)
        cut(settings, kept)
        with serving(part, settings, log, within_s=90):
            async with producing(settings) as producer:
                await accept(producer, *orders[30:])
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
                assert not balance.balanced
                assert any("has lost its end" in note for note in balance.notes)
                await operations_of(V4).replay(settings, lambda _done, _total: None)
                (balance,) = await audit(settings, (V4,))
                assert (balance.stored.orders, balance.shown.orders) == (50, 50)
                assert (balance.lost, balance.log_short, balance.drift) == (0, 10, NOTHING)
                await until(ready.exists)
