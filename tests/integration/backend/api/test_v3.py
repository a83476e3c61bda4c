"""v3: a 202 is a record of the topic, and a repeat is one more: the job counts it once."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from redis.asyncio import Redis

from backend.clients.kafka import LogEnd
from coffee_core.keys import TOPIC, MetricKeys
from coffee_core.order import Order
from coffee_core.pipelines.constants import V3
from tests.integration.backend.api.broker import Broker, records
from tests.integration.backend.api.process import ORDER, OTHER, Api, running, taken
from tests.servers import free_port, halt
from tests.unit.backend.clients.test_trace_context import GOOD
from tests.waiting import until


@pytest.fixture
async def api(tmp_path: Path, broker: Broker, redis_url: str) -> AsyncIterator[Api]:
    servers = broker.settings.kafka_servers
    async with running(
        tmp_path, KAFKA_BOOTSTRAP_SERVERS=servers, REDIS_URL=redis_url, COFFEE_PIPELINES="v3"
    ) as api:
        await until(lambda: api.is_ready("v3"))
        yield api


async def _is_taken(answer: Awaitable[tuple[int, Any]]) -> bool:
    """Tell whether it was: after an outage that was shorter than the probe's turn it may still be refused."""
    return (await answer)[0] == 202


async def _values(broker: Broker, message_id: str) -> list[dict[str, str | int]]:
    return [json.loads(record.value) for record in await _records(broker, message_id)]


async def _records(broker: Broker, message_id: str) -> list[Any]:
    """Return the records under one key."""
    return [record for record in await records(broker) if record.key == message_id.encode()]


async def test_an_accepted_order_is_a_record(api: Api, broker: Broker) -> None:
    status, said = await api.order("v3")
    assert (status, said["status"]) == (202, "accepted")
    [value] = await _values(broker, said["message_id"])
    order = Order.from_fields(value)
    assert order.content == "latte|uptown|500|1736935200000000"
    assert value == order.to_fields()


async def test_a_trace_goes_on_as_a_header(api: Api, broker: Broker) -> None:
    key = "01900000-0000-7000-8000-000000000008"
    assert (await api.order("v3", key=key, headers={"traceparent": GOOD}))[0] == 202
    assert (await api.order("v3", key=key))[0] == 202
    found = [record.headers for record in await _records(broker, key)]
    assert found == [(("traceparent", GOOD.encode()),), ()]


async def test_a_repeat_is_always_produced_again(api: Api, broker: Broker) -> None:
    key = "01900000-0000-7000-8000-000000000001"
    assert await api.order("v3", key=key) == await api.order("v3", key=key)
    assert len(await _values(broker, key)) == 2


async def test_a_key_of_another_order_is_refused(api: Api, broker: Broker) -> None:
    key = "01900000-0000-7000-8000-000000000002"
    await api.order("v3", key=key)
    status, problem = await api.order("v3", OTHER, key)
    assert (status, problem["type"], problem["field"]) == (422, "/problems/key-conflict", "Idempotency-Key")
    assert len(await _values(broker, key)) == 1


async def test_a_batch_is_produced_and_awaited(api: Api, broker: Broker) -> None:
    keys = [f"01900000-0000-7000-8000-0000000001{number:02}" for number in range(100)]
    body = json.dumps([{**ORDER, "message_id": key} for key in keys]).encode()
    status, said = await api.batch("v3", body)
    assert (status, said) == (202, {"orders": [taken("v3", key)[1] for key in keys]})
    assert len(await _values(broker, keys[42])) == 1
    status, problem = await api.batch("v3", body.replace(b"latte", b"americano"))
    assert (status, problem["type"]) == (422, "/problems/key-conflict")
    assert len(await _values(broker, keys[42])) == 1


async def test_a_batch_that_nobody_acknowledges_names_every_order(api: Api, broker: Broker) -> None:
    halt(broker.process)
    try:
        status, problem = await api.batch("v3", json.dumps([ORDER] * 3).encode())
        assert (status, problem["type"]) == (504, "/problems/outcome-unknown")
        assert len(set(problem["message_ids"])) == 3
    finally:
        broker.process.send_signal(signal.SIGCONT)
    again = json.dumps([{**ORDER, "message_id": each} for each in problem["message_ids"]]).encode()
    await until(lambda: _is_taken(api.batch("v3", again)))
    for message_id in problem["message_ids"]:
        assert await _values(broker, message_id)


async def test_its_status_is_unknown_until_it_is_a_row(api: Api) -> None:
    key = "01900000-0000-7000-8000-000000000006"
    await api.order("v3", key=key)
    path = f"/api/v3/order/{key}"
    times = {"accepted_us": None, "stored_us": None}
    said = {"message_id": key, "accepted": True, "stored": None, "shown": None, **times}
    assert await api.get(path) == (200, said), "no PostgreSQL here, and nobody knows what Flink's totals contain"


async def test_nothing_is_produced_of_what_is_refused(api: Api, broker: Broker) -> None:
    key = "01900000-0000-7000-8000-000000000003"
    assert (await api.order("v3", {**ORDER, "drink": "tea"}, key))[0] == 422
    assert await _values(broker, key) == []


async def test_it_does_without_redis_and_postgres(tmp_path: Path, broker: Broker) -> None:
    key = "01900000-0000-7000-8000-000000000004"
    async with running(
        tmp_path,
        KAFKA_BOOTSTRAP_SERVERS=broker.settings.kafka_servers,
        COFFEE_REDIS_PORT=str(free_port()),
        COFFEE_POSTGRES_PORT=str(free_port()),
        COFFEE_PIPELINES="v3",
    ) as api:
        await until(lambda: api.is_ready("v3"))
        assert await api.order("v3", key=key) == taken("v3", key)
        assert (await api.get("/readyz"))[1]["dependencies"]["redis"]["up"] is False
    assert len(await _values(broker, key)) == 1


async def test_a_key_in_flight_is_a_conflict_of_its_own(api: Api, broker: Broker) -> None:
    key = "01900000-0000-7000-8000-000000000009"
    halt(broker.process)
    try:
        answers = await asyncio.gather(api.order("v3", key=key), api.order("v3", key=key))
    finally:
        broker.process.send_signal(signal.SIGCONT)
    assert sorted(status for status, _ in answers) == [409, 504]
    conflict = next(problem for status, problem in answers if status == 409)
    assert conflict["type"] == "/problems/key-in-flight"
    await until(lambda: _is_taken(api.order("v3", key=key)))


async def test_a_broker_that_hangs_leaves_the_outcome_unknown(api: Api, broker: Broker, redis_url: str) -> None:
    key = "01900000-0000-7000-8000-000000000005"
    halt(broker.process)
    try:
        status, problem = await api.order("v3", key=key)
        assert (status, problem["type"], problem["message_id"]) == (504, "/problems/outcome-unknown", key)
        await until(lambda: api.is_not_ready("v3"))
        assert (await api.order("v3"))[0] == 503
        # The order may be on the log, so its key is taken.
        remembered = MetricKeys(V3).idempotency(key)
        async with Redis.from_url(redis_url, decode_responses=True) as client:
            await until(lambda: client.get(remembered))
            assert await client.get(remembered) == "latte|uptown|500|1736935200000000"
    finally:
        broker.process.send_signal(signal.SIGCONT)
    await until(lambda: api.is_ready("v3"))
    assert (await api.order("v3", key=key))[0] == 202
    assert len(await _values(broker, key)) == 2, "the producer went on trying and wrote the first one once"


async def test_orders_behind_a_transaction_that_is_open_are_named(
    tmp_path: Path, broker: Broker, redis_url: str, database_url: str
) -> None:
    servers = broker.settings.kafka_servers
    given = {"KAFKA_BOOTSTRAP_SERVERS": servers, "REDIS_URL": redis_url, "DATABASE_URL": database_url}
    async with (
        running(tmp_path, COFFEE_PIPELINES="v3", **given) as api,
        Redis.from_url(redis_url) as redis,
        AIOKafkaProducer(bootstrap_servers=servers, transactional_id="of somebody else") as other,
    ):
        await redis.hset(MetricKeys(V3).counters, "shown_orders", "0")  # type: ignore[misc]
        await until(lambda: api.is_ready("v3"))
        await other.begin_transaction()
        await other.send_and_wait(TOPIC, b"unknown yet", partition=0)
        assert (await api.order("v3", ORDER))[0] == 202

        async def is_named() -> bool:
            standstill = (await api.get("/readyz/v3"))[1]["standstill"]
            return standstill is not None and "a transaction is open" in standstill["reason"]

        await until(is_named, within_s=60)
        await other.abort_transaction()


async def test_a_log_that_was_not_there_when_first_asked_is_measured_once_it_is(broker: Broker) -> None:
    log_end = LogEnd(broker.settings, "later", "nobody")
    servers = broker.settings.kafka_servers
    try:
        await until(lambda: _says(log_end, 0), within_s=30)
        admin = AIOKafkaAdminClient(bootstrap_servers=servers)
        await admin.start()
        try:
            await admin.create_topics([NewTopic("later", 2, 1)])
        finally:
            await admin.close()
        async with AIOKafkaProducer(bootstrap_servers=servers) as producer:
            for partition in (0, 0, 1):
                await producer.send_and_wait("later", b"x", partition=partition)
        await until(lambda: _says(log_end, 3), within_s=30)
    finally:
        await log_end.close()


async def _says(log_end: LogEnd, records: int) -> bool:
    state = await log_end.read()
    return state is not None and state.length == records
