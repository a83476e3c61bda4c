"""What the bare servers can do on this machine, without any pipeline: the ceilings beside which figures stand."""

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code

from backend.clients.daemon import open_postgres, open_redis
from backend.lab.bench.figures import QUANTILES, Better, Figures
from coffee_core.errors import CoffeeError
from coffee_core.ids import new_message_id
from coffee_core.load.histogram import LatencyHistogram
from coffee_core.resources import sql
from coffee_core.settings import Settings

# What the driver logs is in our own error, too.
logging.getLogger("aiokafka").addHandler(logging.NullHandler())
_STREAM, _TOPIC = "bench:stream", "bench"
_VALUE = (
    b'{"message_id":"0190f5fe-7c1e-7abc-8def-0123456789ab","drink":"latte","store":"uptown","price_cents":500}'
)
_FIELDS: dict[Any, Any] = {"order": _VALUE}
_SIDE_BY_SIDE = 32
_BATCH_ROWS = 1_000
_BLOCK_BYTES = 4_096
_SELDOM_S = 0.05
"""Seconds between two orders at the lowest rate: disk and processors have gone to sleep meanwhile."""
_POLL_MS = 500
_CONSUME_WITHIN_S = 60.0
Operation = Callable[[], Awaitable[Any]]


def fsync(figures: Figures, folder: Path, for_s: float) -> None:
    """Measure what it takes to write a block to this disk and know that it is there: at once, and now and then."""
    _fsync(figures, "fsync", folder, for_s / 2, 0)
    _fsync(figures, "fsync_seldom", folder, for_s, _SELDOM_S)


def _fsync(figures: Figures, name: str, folder: Path, for_s: float, pause_s: float) -> None:
    path, histogram = folder / "bench.fsync", LatencyHistogram()
    until_s = time.monotonic() + for_s
    with path.open("wb", buffering=0) as file:
        while time.monotonic() < until_s:
            started_s = time.perf_counter()
            file.write(bytes(_BLOCK_BYTES))
            os.fsync(file.fileno())
            histogram.record((time.perf_counter() - started_s) * 1e6)
            time.sleep(pause_s)
    path.unlink()
    for quantile, percentile in QUANTILES.items():
        figures.add(f"ceiling.{name}.{quantile}", histogram.percentile_us(percentile), "µs")


async def xadd(figures: Figures, settings: Settings, for_s: float) -> None:
    """Measure a bare XADD: one client, and many side by side."""
    async with open_redis(settings.redis_url) as client:
        await _both(figures, "xadd", for_s, lambda: client.xadd(_STREAM, _FIELDS))
        await client.delete(_STREAM)


async def kafka(figures: Figures, settings: Settings, for_s: float) -> None:
    """Measure a record that the broker acknowledges: one client, and many side by side."""
    await make_topic(settings, _TOPIC)
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.kafka_servers, acks="all", enable_idempotence=True, linger_ms=0
    )
    await producer.start()
    try:
        await producer.send_and_wait(_TOPIC, _VALUE)  # the first one also asks where the topic is
        await _both(figures, "kafka", for_s, lambda: producer.send_and_wait(_TOPIC, _VALUE))
    finally:
        await producer.stop()


async def insert(figures: Figures, settings: Settings, for_s: float) -> None:
    """Measure INSERTs into the orders' table: of one row by one client, then of a batch as the stream worker's."""
    connection = await open_postgres(settings.database_url)
    try:
        await connection.execute(sql("backend.lab.bench", "partition"))
        await _one_by_one(
            figures,
            "insert_one",
            for_s / 2,
            lambda: connection.execute(sql("backend.lab.bench", "insert"), [new_message_id()]),
        )
        rows, busy_s, until_s = 0, 0.0, time.monotonic() + for_s
        while time.monotonic() < until_s:
            batch = [new_message_id() for _ in range(_BATCH_ROWS)]
            started_s = time.perf_counter()
            await connection.execute(sql("backend.lab.bench", "insert"), batch)
            busy_s += time.perf_counter() - started_s
            rows += _BATCH_ROWS
        await connection.execute(sql("backend.lab.bench", "drop"))
    finally:
        await connection.close()
    figures.add("ceiling.insert.rate", rows / busy_s, "/s", Better.HIGHER)


async def consume(figures: Figures, settings: Settings, topic: str, most: int) -> None:
    """Measure how fast a bare consumer reads a topic from its beginning, up to so many records.

    Raises CoffeeError where that takes too long.
    """
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka_servers, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, number) for number in range(settings.topic_partitions)]
        consumer.assign(partitions)
        most = min(most, sum((await consumer.end_offsets(partitions)).values()))
        records, started_s = 0, time.perf_counter()
        while records < most:
            if time.perf_counter() > started_s + _CONSUME_WITHIN_S:
                raise CoffeeError(f"{records:,} of {most:,} records read in {_CONSUME_WITHIN_S:g} s")
            records += sum(map(len, (await consumer.getmany(timeout_ms=_POLL_MS)).values()))
        if records:
            figures.add("ceiling.consume.rate", records / (time.perf_counter() - started_s), "/s", Better.HIGHER)
    finally:
        await consumer.stop()


async def _both(figures: Figures, name: str, for_s: float, operation: Operation) -> None:
    await _one_by_one(figures, name, for_s / 2, operation)
    figures.add(f"ceiling.{name}.rate", await _rate(operation, for_s / 2), "/s", Better.HIGHER)


async def _one_by_one(figures: Figures, name: str, for_s: float, operation: Operation) -> None:
    histogram = LatencyHistogram()
    until_s = time.monotonic() + for_s
    while time.monotonic() < until_s:
        started_s = time.perf_counter()
        await operation()
        histogram.record((time.perf_counter() - started_s) * 1e6)
    for quantile, percentile in QUANTILES.items():
        figures.add(f"ceiling.{name}.{quantile}", histogram.percentile_us(percentile), "µs")


async def _rate(operation: Operation, for_s: float) -> float:
    started_s = time.monotonic()

    async def again() -> int:
        done = 0
        while time.monotonic() < started_s + for_s:
            await operation()
            done += 1
        return done

    done = await asyncio.gather(*(again() for _ in range(_SIDE_BY_SIDE)))
    return sum(done) / (time.monotonic() - started_s)


async def make_topic(settings: Settings, topic: str) -> None:
    """Make a topic of the bench's own where there is none. Raises CoffeeError."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_servers)
    await admin.start()
    try:
        response = await admin.create_topics([NewTopic(topic, settings.topic_partitions, 1)])
    finally:
        await admin.close()
    for _topic, code, *_message in response.topic_errors:
        if code and for_code(code) is not TopicAlreadyExistsError:
            raise CoffeeError(f"Kafka does not create the topic of the bench: {for_code(code)()}")
