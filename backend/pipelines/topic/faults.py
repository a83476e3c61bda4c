"""What can be broken of a topic: records that can never be stored, and its replay under load."""

import json

from backend.pipelines.faults import Effect, StrikeContext, oversized_order, unstorable_orders
from backend.pipelines.operations import operations_of
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


async def replay_topic(pipeline: Pipeline, context: StrikeContext) -> Effect:
    """Count the whole topic of a pipeline anew. Raises CoffeeError where the numbers do not meet."""
    struck = False

    def on_progress(_counted: int, _total: int) -> None:
        # Only now nothing is shown any more: the orders so far would pass for those from after it.
        nonlocal struck
        if not struck:
            struck = True
            context.struck()

    replayed = await operations_of(pipeline).replay(context.settings, on_progress)
    return Effect(replayed.summary, problem=await context.still_down())
