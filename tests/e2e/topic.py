"""What others put on v3's topic, past the API."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from aiokafka import AIOKafkaProducer

from coffee_core.clock import now_us
from coffee_core.keys import TOPIC
from coffee_core.order import Order
from tests.e2e.lab import Lab


@asynccontextmanager
async def producer(lab: Lab, **options: str) -> AsyncIterator[AIOKafkaProducer]:
    """A producer of somebody else."""
    servers = lab.settings.kafka_servers
    async with AIOKafkaProducer(bootstrap_servers=servers, max_request_size=2_000_000, **options) as opened:
        yield opened


def record(message_id: UUID) -> bytes:
    """Return a latte of now as it lies on the topic."""
    time_us = now_us()
    return json.dumps(Order(message_id, "latte", "uptown", 450, time_us, time_us).to_fields()).encode()


async def keep_and_take_back(lab: Lab, kept: UUID, taken_back: UUID) -> None:
    """Put one order on the topic in a transaction that is committed, and one in a transaction that is not."""
    async with producer(lab, transactional_id="of somebody else") as other:
        async with other.transaction():
            await other.send_and_wait(TOPIC, record(kept), str(kept).encode())
        await other.begin_transaction()
        await other.send_and_wait(TOPIC, record(taken_back), str(taken_back).encode())
        await other.abort_transaction()
