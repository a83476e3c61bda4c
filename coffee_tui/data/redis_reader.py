"""Redis as the dashboard reads it: one pipelined read of every key, and notifications of when to read."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoPermissionError, ResponseError

from coffee_core.keys import MetricKeys
from coffee_core.menu import DRINKS, STORES
from coffee_core.metrics import READS, parse_metrics, read_commands, whole_number
from coffee_core.pipelines import Pipeline
from coffee_tui.data.readings import MetricsReading, ReadingError, RedisReading, stream_of

_TIMEOUT_S = 2.0


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[Redis]:
    """Open a client that never retries by itself: the feed must know of every lost connection."""
    client: Redis = Redis.from_url(
        url,
        decode_responses=True,
        encoding_errors="replace",  # others may have written what is no text
        socket_timeout=_TIMEOUT_S,
        socket_connect_timeout=_TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
    )
    try:
        yield client
    finally:
        await client.aclose()


@asynccontextmanager
async def pubsub(client: Redis) -> AsyncIterator[PubSub]:
    """Open what can be subscribed with."""
    opened = client.pubsub(ignore_subscribe_messages=True)
    try:
        yield opened
    finally:
        await opened.aclose()  # type: ignore[no-untyped-call]


def channels(client: Redis, pipelines: Sequence[Pipeline]) -> list[str]:
    """Return the channels of the writes of each pipeline's total_orders, which every writer writes last."""
    database = client.connection_pool.connection_kwargs.get("db", 0)
    return [f"__keyspace@{database}__:{MetricKeys(pipeline).total_orders}" for pipeline in pipelines]


async def notifies(client: Redis) -> bool | None:
    """Return whether the server is configured to send keyspace notifications of strings.

    None of a server that refuses the question (a managed one): then a notification that arrives is the only
    evidence.
    """
    try:
        answer = await client.config_get("notify-keyspace-events")
    except (NoPermissionError, ResponseError):
        return None
    flags = answer.get("notify-keyspace-events", "")
    return "K" in flags and ("A" in flags or "$" in flags)


async def read(client: Redis, pipelines: Sequence[Pipeline]) -> RedisReading:
    """Read all keys of the pipelines in one transaction, so that totals and breakdowns agree.

    Raises ReadingError where a key holds what no pipeline writes there.
    """
    streams = {pipeline: key for pipeline in pipelines if (key := stream_of(pipeline)) is not None}
    async with client.pipeline(transaction=True) as batch:
        for pipeline in pipelines:
            for command in read_commands(MetricKeys(pipeline)):
                batch.execute_command(*command)
        for stream in streams.values():
            batch.xlen(stream)
        try:
            answers: list[Any] = await batch.execute()
        except ResponseError as error:
            raise ReadingError(f"Redis refuses the read: {error}") from error
    metrics = {
        pipeline: _metrics(pipeline, answers[READS * index : READS * index + READS])
        for index, pipeline in enumerate(pipelines)
    }
    entries = map(int, answers[READS * len(pipelines) :])
    return RedisReading(metrics, dict(zip(streams, entries, strict=True)))


def _metrics(pipeline: Pipeline, answers: Sequence[Any]) -> MetricsReading:
    try:
        shown = parse_metrics(answers)
    except ValueError as error:
        raise ReadingError(f"a Redis key of {pipeline} holds no whole number: {error}") from error
    totals = shown.totals
    return MetricsReading(
        totals.orders,
        totals.revenue_cents,
        {drink: totals.drink_counts[drink] for drink in DRINKS},
        {store: totals.store_counts[store] for store in STORES},
        shown.latency,
        _whole_numbers(shown.counters),
    )


def _whole_numbers(fields: Mapping[str, str]) -> dict[str, int]:
    # A pipeline may keep other things among its counters (an id, a name): they are none of the dashboard's.
    numbers = {}
    for name, value in fields.items():
        with suppress(ValueError):
            numbers[name] = whole_number(name, value)
    return numbers
