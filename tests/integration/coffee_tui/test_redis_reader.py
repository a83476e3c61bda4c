"""What others have written into the metric keys is told in words, and never ends the dashboard."""

import pytest
from redis.asyncio import Redis

from coffee_core.keys import MetricKeys
from coffee_core.pipelines.constants import V2
from coffee_tui.data import redis_reader
from coffee_tui.data.readings import ReadingError

KEYS = MetricKeys(V2)


async def test_names_and_counters_that_are_none_are_passed_over(redis_url: str) -> None:
    async with Redis.from_url(redis_url) as redis:
        await redis.hset(KEYS.hashes[0], mapping={b"\xff\x1b[31m": "7", "tea": "1", "latte": "2"})
        await redis.hset(KEYS.counters, mapping={b"\xfe": "1", "next": "\u0663", "more": str(2**64), "dead": "3"})
    async with redis_reader.connect(redis_url) as client:
        reading = (await redis_reader.read(client, [V2])).metrics[V2]
    assert dict(reading.drinks) == {"cappuccino": 0, "americano": 0, "latte": 2}
    assert reading.counters == {"\ufffd": 1, "dead": 3}


@pytest.mark.parametrize("value", [b"abc", b"1.5", b" 5", "\u0663", b"\xff", str(2**63), b"1_0"])
async def test_a_total_that_is_none_is_told(redis_url: str, value: str | bytes) -> None:
    async with Redis.from_url(redis_url) as redis:
        await redis.set(KEYS.total_orders, value)
    async with redis_reader.connect(redis_url) as client:
        with pytest.raises(ReadingError, match="total_orders is no whole number"):
            await redis_reader.read(client, [V2])


async def test_a_key_of_another_kind_is_told(redis_url: str) -> None:
    async with Redis.from_url(redis_url) as redis:
        await redis.lpush(KEYS.total_orders, "1")
    async with redis_reader.connect(redis_url) as client:
        with pytest.raises(ReadingError, match=r"WRONGTYPE"):
            await redis_reader.read(client, [V2])
