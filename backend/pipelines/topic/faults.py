"""Records that can never be stored, for poisoning a topic behind the API's back."""

import json

from backend.pipelines.faults import Effect, StrikeContext, oversized_order, unstorable_orders
from coffee_core.pipelines import Pipeline

_SEND_WITHIN_MS = 20_000


async def poison_topic(pipeline: Pipeline, context: StrikeContext) -> Effect:
    """Send records that can never be stored to the topic of a pipeline. Raises UnreachableError.

    Among them what no JSON parser takes, a record without a value, one without a key, and a large one.
    """
    from aiokafka import AIOKafkaProducer  # the menu is listed without any driver

    from backend.clients.kafka import kafka_options, naming_kafka

    log = pipeline.info.log
    assert log is not None, f"{pipeline} has a topic"
    records: list[tuple[bytes | None, bytes | None]] = [
        (str(order.get("message_id", "")).encode(), json.dumps(order).encode())
        for order in unstorable_orders(context.first_accepted(pipeline))
    ]
    records += [
        (b"poison", b"not json"),
        (b"poison", b""),
        (b"poison", b"[]"),
        (b"poison", b"\xff\xfe\x00"),
        (b"poison", json.dumps(oversized_order()).encode()),
        (None, b"{}"),
        (b"poison", None),
    ]
    settings = context.settings
    context.struck()
    producer = AIOKafkaProducer(**kafka_options(settings), acks="all", request_timeout_ms=_SEND_WITHIN_MS)
    with naming_kafka(settings.kafka_servers):
        await producer.start()
        try:
            for key, value in records:
                await producer.send_and_wait(log.name, value, key=key)
        finally:
            await producer.stop()
    return Effect(f"put {len(records)} poison messages into the log of {pipeline}", len(records))
