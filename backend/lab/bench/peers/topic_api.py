"""v3's and v4's peer, its API: ``python topic_api.py PORT`` sends each order to Kafka (FastAPI and aiokafka)."""

import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID, uuid4

import uvicorn
from aiokafka import AIOKafkaProducer
from fastapi import FastAPI, Header
from pydantic import BaseModel


class Order(BaseModel):
    """The body of a request."""

    drink: str
    store: str
    price: Decimal
    timestamp: datetime


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Keep a producer while the API runs."""
    async with AIOKafkaProducer(bootstrap_servers=os.environ["KAFKA_BOOTSTRAP_SERVERS"], acks="all") as producer:
        app.state.producer = producer
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/api/{_pipeline}/order", status_code=202)
async def place(order: Order, idempotency_key: Annotated[UUID | None, Header()] = None) -> dict[str, str]:
    """Answer once the broker has the order."""
    message_id = str(idempotency_key or uuid4())
    fields = {
        "message_id": message_id,
        "drink": order.drink,
        "store": order.store,
        "price_cents": int(order.price * 100),
        "ordered_at_us": int(order.timestamp.timestamp() * 1_000_000),
    }
    await app.state.producer.send_and_wait("peer-topic", json.dumps(fields).encode(), message_id.encode())
    return {"message_id": message_id}


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), access_log=False, log_level="warning")
