"""The lab's own latency histograms, read from Redis: from acceptance to visibility, order by order."""

from collections.abc import Iterable, Mapping
from typing import Any

from redis.asyncio import Redis

from backend.daemon import open_redis
from coffee_core.keys import MetricKeys
from coffee_core.pipelines import Pipeline

Buckets = Mapping[Pipeline, Mapping[int, int]]
"""Pipeline → bucket of ``coffee_core.latency`` → orders."""


async def read_buckets(redis_url: str, pipelines: Iterable[Pipeline]) -> Buckets:
    """Return the cumulative histograms as they stand. Raises RedisError."""
    async with open_redis(redis_url) as client:
        return {pipeline: await _buckets(client, pipeline) for pipeline in pipelines}


async def _buckets(client: Redis, pipeline: Pipeline) -> dict[int, int]:
    found: Any = client.hgetall(MetricKeys(pipeline).latency)
    return {int(bucket): int(orders) for bucket, orders in (await found).items()}
