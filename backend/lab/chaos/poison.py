"""Messages that can never become a row, put straight into the logs behind the API's back."""

import json
from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaProducer
from redis.asyncio import Redis

from backend.kafka_options import kafka_options
from backend.lab.audit_kafka import naming_kafka
from coffee_core.clock import now_us
from coffee_core.ids import new_message_id
from coffee_core.keys import STREAM, TOPIC
from coffee_core.load.mix import Attempt
from coffee_core.settings import Settings

_SEND_WITHIN_MS = 20_000


def _well() -> dict[str, Any]:
    return {
        "message_id": str(new_message_id()),
        "drink": "latte",
        "store": "uptown",
        "price_cents": 500,
        "ordered_at_us": now_us(),
        "accepted_at_us": now_us(),
    }


def _spoilt() -> list[dict[str, Any]]:
    well = _well()
    return [
        {"garbage": "\x00\x01\x02"},
        {**_well(), "drink": "mocha"},
        {**_well(), "store": ""},
        {**_well(), "price_cents": -1},
        {**_well(), "price_cents": 10**30},
        {**_well(), "ordered_at_us": "yesterday"},
        {**_well(), "message_id": "not-a-uuid"},
        {name: value for name, value in well.items() if name != "store"},
    ]


def _conflict(known: Attempt) -> dict[str, Any]:
    """Return another order under the id of one that is stored already."""
    return {**_well(), "message_id": str(known.key), "ordered_at_us": known.ordered_at_us, "price_cents": 999_999}


async def poison_stream(settings: Settings, known: Attempt | None) -> int:
    """Add entries that can never be stored to v2's stream; return how many. Raises an error of Redis."""
    entries: list[Mapping[Any, Any]] = _spoilt() + ([_conflict(known)] if known else [])
    entries.append({b"message_id": b"\xff\xfe", b"drink": b"\xc3\x28"})
    async with Redis.from_url(settings.redis_url, socket_timeout=5) as client:
        for entry in entries:
            await client.xadd(STREAM, dict(entry))
    return len(entries)


async def poison_topic(settings: Settings, known: Attempt | None) -> int:
    """Send records that can never be stored to v3's topic; return how many. Raises UnreachableError.

    Among them what no JSON parser takes, a record without a value, one without a key, and a large one.
    """
    spoilt = _spoilt() + ([_conflict(known)] if known else [])
    records: list[tuple[bytes | None, bytes | None]] = [
        (str(each.get("message_id", "")).encode(), json.dumps(each).encode()) for each in spoilt
    ]
    records += [
        (b"poison", b"not json"),
        (b"poison", b""),
        (b"poison", b"[]"),
        (b"poison", b"\xff\xfe\x00"),
        (b"poison", json.dumps({**_well(), "drink": "x" * 100_000}).encode()),
        (None, b"{}"),
        (b"poison", None),
    ]
    producer = AIOKafkaProducer(**kafka_options(settings), acks="all", request_timeout_ms=_SEND_WITHIN_MS)
    with naming_kafka(settings.kafka_servers):
        await producer.start()
        try:
            for key, value in records:
                await producer.send_and_wait(TOPIC, value, key=key)
        finally:
            await producer.stop()
    return len(records)
