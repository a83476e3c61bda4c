"""Groups of records, before a real broker."""

import asyncio
import signal
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from backend.clients.kafka_producer import MAX_BATCH_BYTES, TopicProducer, partition_of
from coffee_core.errors import OutcomeUnknownError, UnavailableError
from coffee_core.keys import TOPIC
from tests.integration.backend.api.broker import Broker, records
from tests.servers import halt
from tests.waiting import until


@pytest.fixture
async def backend(broker: Broker) -> AsyncIterator[TopicProducer]:
    backend = TopicProducer(broker.settings, TOPIC)
    running = asyncio.create_task(backend.run())
    await until(lambda: backend.health.up, within_s=60)
    yield backend
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def _keys(broker: Broker, count: int, partition: int = 0) -> list[bytes]:
    """Return new keys of one partition."""
    found: list[bytes] = []
    while len(found) < count:
        key = str(uuid4()).encode()
        if partition_of(key, broker.settings.topic_partitions) == partition:
            found.append(key)
    return found


async def test_a_group_keeps_keys_values_headers_and_their_order(backend: TopicProducer, broker: Broker) -> None:
    one, other = _keys(broker, 2)
    sent = [(one, b"1", [("a", b"x")]), (other, b"2", []), (one, b"3", [])]
    await asyncio.gather(*(backend.send(*each) for each in sent))
    found = [each for each in await records(broker) if each.key in (one, other)]
    assert [(each.key, each.value, list(each.headers)) for each in found] == sent
    assert {each.partition for each in found} == {0}
    assert [each.offset - found[0].offset for each in found] == [0, 1, 2]


async def test_what_is_more_than_a_batch_goes_in_several(backend: TopicProducer, broker: Broker) -> None:
    keys, value = _keys(broker, 30), bytes(MAX_BATCH_BYTES // 10)
    await asyncio.gather(*(backend.send(key, value, []) for key in keys))
    assert [each.key for each in await records(broker) if each.value == value] == keys


async def test_who_waits_behind_a_group_that_hangs_is_certainly_nowhere(
    backend: TopicProducer, broker: Broker
) -> None:
    hanging, behind, after = _keys(broker, 3)
    halt(broker.process)
    try:
        first = backend.send(hanging, b"", [])
        await asyncio.sleep(0)  # one turn of the loop, and it is on its way
        second = backend.send(behind, b"", [])
        with pytest.raises(OutcomeUnknownError):
            await first
        with pytest.raises(UnavailableError):
            await second
    finally:
        broker.process.send_signal(signal.SIGCONT)
    await until(lambda: _taken(backend, after), within_s=30)
    found = [each.key for each in await records(broker)]
    assert [found.count(each) for each in (hanging, behind, after)] == [1, 0, 1]


async def test_partitions_of_one_broker_take_turns_but_nobody_waits_twice_for_one_that_failed(
    backend: TopicProducer, broker: Broker
) -> None:
    groups = backend._groups
    assert groups is not None
    (hanging, again), others = _keys(broker, 2), _keys(broker, 2, partition=1)
    halt(broker.process)
    try:
        sent = [groups.add(hanging, b"", [])]
        await asyncio.sleep(0)  # one turn of the loop, and it is on its way
        sent.append(groups.add(others[0], b"", []))
        first = await asyncio.gather(*sent, return_exceptions=True)
        assert [type(each) for each in first] == [OutcomeUnknownError, UnavailableError]
        sent = [groups.add(again, b"", [])]
        await asyncio.sleep(0)
        sent.append(groups.add(others[1], b"", []))
        # Both were given to the producer: the other one did not wait in turn.
        second = await asyncio.gather(*sent, return_exceptions=True)
        assert [type(each) for each in second] == [OutcomeUnknownError, OutcomeUnknownError]
    finally:
        broker.process.send_signal(signal.SIGCONT)
    sent_keys = (hanging, again, *others)

    async def once_each_but_who_was_nowhere() -> bool:
        there = [each.key for each in await records(broker)]
        return [there.count(key) for key in sent_keys] == [1, 1, 0, 1]

    await until(once_each_but_who_was_nowhere, within_s=30)


async def _taken(backend: TopicProducer, key: bytes) -> bool:
    try:
        await backend.send(key, b"", [])
    except UnavailableError:
        return False
    return True
